SELECT $base + $bmi * bmi + $s5 * s5 AS progression FROM input
