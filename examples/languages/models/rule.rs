use std::io::{stdin, BufRead};

/// The numbers behind a name. A whole JSON parser is not needed for that.
fn column(line: &str, name: &str) -> Option<Vec<f64>> {
    let after = line.split_once(&format!("\"{name}\":["))?.1;
    after.split_once(']')?.0.split(',').map(|number| number.parse().ok()).collect()
}

fn main() {
    for line in stdin().lock().lines() {
        let line = line.expect("standard input is UTF-8");
        let id: String = line.split("\"id\":").nth(1).unwrap_or("-1").chars().take_while(char::is_ascii_digit).collect();
        match (column(&line, "bmi"), column(&line, "s5")) {
            (Some(bmi), Some(s5)) => {
                let scores: Vec<String> = bmi.iter().zip(&s5)
                    .map(|(bmi, s5)| (152.94615870263704 + 669.6525964460959 * bmi + 609.7326831950464 * s5).to_string())
                    .collect();
                println!("{{\"id\":{id},\"columns\":{{\"progression\":[{}]}}}}", scores.join(","));
            }
            _ => println!("{{\"id\":{id},\"error\":\"bmi and s5 are needed\"}}"),
        }
    }
}
