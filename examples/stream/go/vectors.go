// Reads every vector of docs/protocol.md and compares: `worker vectors ../../../spec/vectors`.

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
)

type vector struct {
	Message   string         `json:"message"`
	Means     map[string]any `json:"means"`
	Canonical bool           `json:"canonical"`
	ReadAs    string         `json:"read_as"`
	Refused   string         `json:"refused"`
}

func vectors(folder string) int {
	wrong, count := 0, map[string]int{}
	fail := func(name, why string) {
		fmt.Printf("%s: %s\n", name, why)
		wrong++
	}
	for name, vector := range load(folder, "valid") {
		message, _ := hex.DecodeString(vector.Message)
		kind := vector.Means["kind"].(string)
		if kind != "input" && kind != "probe" && kind != "scores" {
			if _, err := decode(message); err != nil { // a worker never gets one
				fail(name, err.Error())
			}
			count["skipped"]++
			continue
		}
		count["read"]++
		frame, err := read(message, kind)
		if err != nil {
			fail(name, err.Error())
		} else if found := meaning(frame, vector.Means); !reflect.DeepEqual(found, vector.Means) {
			fail(name, fmt.Sprintf("it means something else: %v", found))
		}
		if kind == "scores" && vector.Canonical {
			count["written"]++
			if written := hex.EncodeToString(write(scoresOf(frame))); written != vector.Message {
				fail(name, "it is written "+written)
			}
		}
	}
	for name, vector := range load(folder, "invalid") {
		message, _ := hex.DecodeString(vector.Message)
		kinds := []string{"input", "probe", "scores"}
		if vector.ReadAs == "input" {
			kinds = kinds[:1]
		}
		if _, err := read(message, kinds...); err == nil {
			fail(name, "not refused: "+vector.Refused)
		} else {
			count["refused"]++
		}
	}
	fmt.Printf("%d read, %d written, %d refused, %d of other kinds\n",
		count["read"], count["written"], count["refused"], count["skipped"])
	if wrong > 0 || count["read"] == 0 || count["refused"] == 0 {
		return 1
	}
	return 0
}

func load(folder, kind string) map[string]vector {
	names, _ := filepath.Glob(filepath.Join(folder, kind, "*.json"))
	found := map[string]vector{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		var each vector
		if err == nil {
			err = json.Unmarshal(content, &each)
		}
		if err != nil {
			panic(err)
		}
		found[name] = each
	}
	return found
}

// meaning is the frame as in a vector's `means`: what is absent, nil, or unknown is left out.
func meaning(frame Frame, means map[string]any) map[string]any {
	found := map[string]any{}
	for key, value := range frame.raw {
		name := key.(string)
		if _, known := means[name]; known && name != "columns" {
			found[name] = plain(value)
		}
	}
	if frame.Columns != nil {
		columns := map[string]any{}
		for name, tensor := range frame.Columns {
			columns[name] = plainTensor(tensor)
		}
		found["columns"] = columns
	}
	return found
}

// plain is a value as encoding/json would have read it.
func plain(value any) any {
	switch value := value.(type) {
	case int64:
		return float64(value)
	case []byte:
		return hex.EncodeToString(value)
	case []any:
		found := make([]any, len(value))
		for index, each := range value {
			found[index] = plain(each)
		}
		return found
	case map[any]any:
		found := map[string]any{}
		for key, each := range value {
			found[fmt.Sprint(key)] = plain(each)
		}
		return found
	}
	return value
}

func plainTensor(tensor Tensor) any {
	values := make([]any, len(tensor.Values))
	for index, value := range tensor.Values {
		values[index] = value
		if number, ok := value.(float64); ok && math.IsNaN(number) {
			values[index] = "NaN"
		}
		if number, ok := value.(int64); ok {
			values[index] = strconv.FormatInt(number, 10) // JSON's numbers lose digits
		}
	}
	shape := make([]any, len(tensor.Shape))
	for index, axis := range tensor.Shape {
		shape[index] = float64(axis)
	}
	return map[string]any{"dtype": tensor.Dtype, "shape": shape, "values": values}
}

// scoresOf turns a scores frame that was read into one to be written.
func scoresOf(frame Frame) Scores {
	fields := frame.raw
	scores := Scores{
		Endpoint: frame.Endpoint, Revision: frame.Revision, Source: frame.Source, Seq: frame.Seq,
		Origin: fields["origin"].(string), Frame: fields["frame"].(int64), Model: fields["model"].(string),
		Version: fields["version"].(string), Role: fields["role"].(string), Ids: frame.Ids,
		Done: fields["done"].(int64), QueueMs: fields["queue_ms"].(float64),
		ComputeMs: fields["compute_ms"].(float64), Columns: frame.Columns,
	}
	if text, there := fields["error"].(string); there {
		scores.Error = text
	}
	if rows, there := fields["rows"].([]any); there {
		scores.Rows = listOf[int64](rows, "rows")
	}
	if late, there := fields["late"].([]any); there {
		scores.Late = listOf[int64](late, "late")
	}
	errors, _ := fields["errors"].(map[any]any)
	for index, text := range errors {
		scores.Errors = append(scores.Errors, Field{index, text})
	}
	sort.Slice(scores.Errors, func(i, j int) bool { return scores.Errors[i].Key.(int64) < scores.Errors[j].Key.(int64) })
	for name := range frame.Columns {
		scores.Names = append(scores.Names, name)
	}
	return scores
}
