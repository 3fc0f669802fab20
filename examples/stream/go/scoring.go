// Frames to scores: one prediction for all that waits, and errors kept apart.

package main

import (
	"errors"
	"fmt"
	"math"
)

// request is where one request's rows lie in its frame; failed says why it has no scores.
type request struct {
	frame       *Frame
	start, rows int64
	failed      string
	scores      map[string][]any
}

var blanks = map[string]any{"f8": 0.0, "i8": int64(0), "b1": false, "str": ""}

// scoreFrames gives the columns and errors of each frame, to be put into its scores.
func scoreFrames(frames []*Frame) []Scores {
	requests := make([][]*request, len(frames))
	good := []*request{}
	for index, frame := range frames {
		requests[index] = requestsOf(frame)
		for _, each := range requests[index] {
			if each.failed == "" {
				good = append(good, each)
			}
		}
	}
	score(good)
	found := make([]Scores, len(frames))
	for index := range frames {
		found[index] = result(requests[index])
	}
	return found
}

func requestsOf(frame *Frame) []*request {
	found := make([]*request, len(frame.Ids))
	start := int64(0)
	for index := range found {
		found[index] = &request{frame: frame, start: start, rows: 1}
		if index < len(frame.Rows) {
			found[index].rows = frame.Rows[index]
		}
		start += found[index].rows
	}
	if problem := problemOf(frame, start); problem != "" {
		for _, each := range found {
			each.failed = problem
		}
	}
	return found
}

func problemOf(frame *Frame, total int64) string {
	if frame.Rows != nil && len(frame.Rows) != len(frame.Ids) {
		return "its requests and rows disagree"
	}
	for _, rows := range frame.Rows {
		if rows < 1 {
			return "its requests and rows disagree"
		}
	}
	for name, dtype := range inputs {
		column, there := frame.Columns[name]
		if !there {
			return fmt.Sprintf("the frame has no input %q", name)
		}
		if column.Dtype != dtype || len(column.Shape) != 1 || column.Shape[0] != total {
			return fmt.Sprintf("the input %q is %s%v, expected %s[%d]", name, column.Dtype, column.Shape, dtype, total)
		}
	}
	return ""
}

// score scores these requests together; where the model refuses that, it halves them until the guilty
// one is alone.
func score(requests []*request) {
	if len(requests) == 0 {
		return
	}
	found, err := checked(requests)
	if err != nil && len(requests) == 1 {
		requests[0].failed = fmt.Sprintf("%.500s", err.Error())
		return
	}
	if err != nil {
		score(requests[:len(requests)/2])
		score(requests[len(requests)/2:])
		return
	}
	start := int64(0)
	for _, each := range requests {
		each.scores = map[string][]any{}
		for _, output := range outputs {
			each.scores[output.Name] = found[output.Name][start : start+each.rows]
		}
		start += each.rows
	}
}

// checked is one prediction: every output, a value for each row, no NaN. What panics is an error.
func checked(requests []*request) (found map[string][]any, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()
	joined := map[string][]any{}
	rows := 0
	for _, each := range requests {
		for name := range inputs {
			joined[name] = append(joined[name], each.frame.Columns[name].Values[each.start:each.start+each.rows]...)
		}
		rows += int(each.rows)
	}
	found, err = predict(joined)
	if err != nil {
		return nil, err
	}
	for _, output := range outputs {
		if len(found[output.Name]) != rows {
			return nil, fmt.Errorf("%q has %d rows, expected %d", output.Name, len(found[output.Name]), rows)
		}
		for _, value := range found[output.Name] {
			if number, ok := value.(float64); ok && (math.IsNaN(number) || math.IsInf(number, 0)) {
				return nil, errors.New("the model's output is NaN or infinite")
			}
		}
	}
	return found, nil
}

func result(requests []*request) Scores {
	found := Scores{Columns: map[string]Tensor{}}
	for index, each := range requests {
		if each.failed != "" {
			found.Errors = append(found.Errors, Field{index, each.failed})
		}
	}
	if len(found.Errors) == len(requests) {
		found.Error, found.Errors = "a frame without requests", nil
		if len(requests) > 0 {
			found.Error = requests[0].failed
		}
		return found
	}
	for _, output := range outputs {
		values := []any{}
		for _, each := range requests {
			if each.failed == "" {
				values = append(values, each.scores[output.Name]...)
			} else {
				for row := int64(0); row < each.rows; row++ {
					values = append(values, blanks[output.Dtype])
				}
			}
		}
		found.Names = append(found.Names, output.Name)
		found.Columns[output.Name] = Tensor{output.Dtype, []int64{int64(len(values))}, values}
	}
	return found
}
