// The model: what it takes, what it gives, and the scores of some rows.

package main

// inputs and outputs are the types of the columns, by name.
var inputs = map[string]string{"bmi": "f8", "s5": "f8"}
var outputs = []Output{{Name: "progression", Dtype: "f8"}}

// Output is a column that the model gives.
type Output struct{ Name, Dtype string }

// predict gets a list for each input, and gives one for each output, with a value for each row.
func predict(columns map[string][]any) (map[string][]any, error) {
	progression := make([]any, len(columns["bmi"]))
	for row := range progression {
		bmi, s5 := columns["bmi"][row].(float64), columns["s5"][row].(float64)
		progression[row] = 152.94615870263704 + 669.6525964460959*bmi + 609.7326831950464*s5
	}
	return map[string][]any{"progression": progression}, nil
}
