library(jsonlite)

input <- file("stdin", "r")
while (length(line <- readLines(input, n = 1)) > 0) {
  asked <- fromJSON(line)
  answer <- tryCatch(with(asked$columns, list(
    id = asked$id,
    columns = list(progression = I(152.94615870263704 + 669.6525964460959 * bmi + 609.7326831950464 * s5))
  )), error = function(problem) list(id = asked$id, error = conditionMessage(problem)))
  cat(toJSON(answer, auto_unbox = TRUE, digits = NA, na = "null"), "\n", sep = "")
  flush(stdout())
}
