# A whole JSON parser is not needed: names are known, and numbers have no commas in them.
function column(name, values) {
    if (!match($0, "\"" name "\":\\[[^\\]]*")) return 0
    skip = length(name) + 4
    return split(substr($0, RSTART + skip, RLENGTH - skip), values, ",")
}
{
    match($0, /"id":[0-9]+/)
    id = substr($0, RSTART + 5, RLENGTH - 5)
    rows = column("bmi", bmi)
    if (rows == 0 || column("s5", s5) != rows) {
        print "{\"id\":" id ",\"error\":\"bmi and s5 are needed\"}"
    } else {
        printf "{\"id\":%s,\"columns\":{\"progression\":[", id
        for (row = 1; row <= rows; row++)
            printf "%s%.17g", (row > 1 ? "," : ""), 152.94615870263704 + 669.6525964460959 * bmi[row] + 609.7326831950464 * s5[row]
        print "]}}"
    }
    fflush()
}
