// The model: what it takes, what it gives, and the scores of some rows.

export const inputs = { bmi: "f8", s5: "f8" };
export const outputs = { progression: "f8" };

/** Each input is a list with a value for each row, and so is each output. */
export function predict({ bmi, s5 }) {
  return {
    progression: Array.from(bmi, (value, row) => 152.94615870263704 + 669.6525964460959 * value + 609.7326831950464 * s5[row]),
  };
}
