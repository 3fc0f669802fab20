const lines = require("readline").createInterface({ input: process.stdin });

lines.on("line", (line) => {
  const { id, columns } = JSON.parse(line);
  try {
    const progression = columns.bmi.map(
      (bmi, row) => 152.94615870263704 + 669.6525964460959 * bmi + 609.7326831950464 * columns.s5[row]);
    console.log(JSON.stringify({ id, columns: { progression } }));
  } catch (problem) {
    console.log(JSON.stringify({ id, error: problem.message }));
  }
});
