% fgetl would wait for the first character of the line after the one that it reads.
while ischar(line = fscanf(stdin, "%[^\n]", "C")) && fread(stdin, 1)
  asked = jsondecode(line);
  try
    x = asked.columns;
    progression = 152.94615870263704 + 669.6525964460959 * x.bmi + 609.7326831950464 * x.s5;
    answer = struct("id", asked.id, "columns", struct("progression", {num2cell(progression)}));
  catch problem
    answer = struct("id", asked.id, "error", problem.message);
  end
  puts([jsonencode(answer) "\n"]);
  fflush(stdout);
end
