package main

import (
	"encoding/json"
	"os"
)

type line struct {
	ID      int                  `json:"id"`
	Columns map[string][]float64 `json:"columns,omitempty"`
	Error   string               `json:"error,omitempty"`
}

func main() {
	questions, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var asked line
		err := questions.Decode(&asked)
		bmi, s5 := asked.Columns["bmi"], asked.Columns["s5"]
		if asked.ID == 0 && err != nil { // the end of input
			return
		}
		if err != nil || len(bmi) == 0 || len(bmi) != len(s5) {
			answers.Encode(line{ID: asked.ID, Error: "bmi and s5 are needed"})
			continue
		}
		progression := make([]float64, len(bmi))
		for row := range bmi {
			progression[row] = 152.94615870263704 + 669.6525964460959*bmi[row] + 609.7326831950464*s5[row]
		}
		answers.Encode(line{ID: asked.ID, Columns: map[string][]float64{"progression": progression}})
	}
}
