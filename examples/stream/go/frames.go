// Frames of docs/protocol.md: read strictly, written as they are described.

package main

import (
	"encoding/binary"
	"fmt"
	"math"
)

const protocolVersion = 1

// Tensor is a column. Values are float64, int64, bool or string, flat, the last axis running fastest.
type Tensor struct {
	Dtype  string
	Shape  []int64
	Values []any
}

// Frame is an input frame, or a probe, which has only the envelope and a reply.
type Frame struct {
	Kind, Endpoint, Source, Reply string
	Revision, Seq, Sent, Expires  int64
	Ids                           []string
	Rows, Deadline                []int64
	Contenders                    map[string]string // nil: all who hear it
	Columns                       map[string]Tensor
	Large                         map[string]Reference // of columns without data
	raw                           map[any]any
}

// Scores is a scores frame. Errors and Late name requests by their index.
type Scores struct {
	Endpoint, Source, Origin, Model, Version, Role, Error string
	Revision, Seq, Frame, Done                            int64
	Ids                                                   []string
	Rows, Late                                            []int64
	Errors                                                []Field
	QueueMs, ComputeMs                                    float64
	Names                                                 []string // of the columns, in their order
	Columns                                               map[string]Tensor
}

// read refuses what is no frame of these kinds, or of a newer protocol.
func read(message []byte, kinds ...string) (frame Frame, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()
	value, err := decode(message)
	if err != nil {
		return frame, err
	}
	fields, ok := value.(map[any]any)
	if !ok {
		return frame, fmt.Errorf("not a map")
	}
	frame.raw = fields
	frame.Kind = need[string](fields, "kind")
	known := false
	for _, kind := range kinds {
		known = known || kind == frame.Kind
	}
	if !known {
		return frame, fmt.Errorf("its kind is %s", frame.Kind)
	}
	if version := fields["v"]; version != nil && need[int64](fields, "v") > protocolVersion {
		return frame, fmt.Errorf("it is of protocol %v, this is %d", version, protocolVersion)
	}
	frame.Endpoint, frame.Source = need[string](fields, "endpoint"), need[string](fields, "source")
	frame.Revision, frame.Seq = need[int64](fields, "revision"), need[int64](fields, "seq")
	switch frame.Kind {
	case "probe":
		frame.Reply = need[string](fields, "reply")
	case "input":
		readInput(fields, &frame)
	case "scores":
		readScores(fields, &frame)
	}
	return frame, nil
}

func readInput(fields map[any]any, frame *Frame) {
	frame.Reply = need[string](fields, "reply")
	frame.Ids = listOf[string](need[[]any](fields, "ids"), "ids")
	listOf[int64](need[[]any](fields, "arrived"), "arrived")
	frame.Deadline = listOf[int64](need[[]any](fields, "deadline"), "deadline")
	frame.Sent, frame.Expires = need[int64](fields, "sent"), need[int64](fields, "expires")
	if fields["rows"] != nil {
		frame.Rows = listOf[int64](need[[]any](fields, "rows"), "rows")
	}
	for _, name := range []string{"keys", "callers", "traces"} {
		if fields[name] == nil {
			continue
		}
		for _, each := range need[[]any](fields, name) {
			if each != nil {
				as[string](each, name)
			}
		}
	}
	if fields["contenders"] != nil {
		frame.Contenders = map[string]string{}
		for name, role := range need[map[any]any](fields, "contenders") {
			frame.Contenders[as[string](name, "contenders")] = as[string](role, "contenders")
		}
	}
	frame.Large = readLarge(fields)
	frame.Columns = readColumns(fields, frame.Large)
}

// readScores is for vectors: a worker reads no scores.
func readScores(fields map[any]any, frame *Frame) {
	for _, name := range []string{"origin", "model", "version", "role"} {
		need[string](fields, name)
	}
	frame.Ids = listOf[string](need[[]any](fields, "ids"), "ids")
	frame.Columns = readColumns(fields, nil)
}

func readColumns(fields map[any]any, large map[string]Reference) map[string]Tensor {
	columns := map[string]Tensor{}
	for key, value := range need[map[any]any](fields, "columns") {
		name, parts := as[string](key, "columns"), as[[]any](value, "columns")
		if _, elsewhere := large[name]; elsewhere && len(parts) == 3 {
			columns[name] = Tensor{as[string](parts[0], "dtype"), listOf[int64](as[[]any](parts[1], "shape"), "shape"), nil}
		} else {
			columns[name] = unpack(parts)
		}
	}
	return columns
}

func need[T any](fields map[any]any, name string) T {
	value, there := fields[name]
	if !there {
		panic(name + " is missing")
	}
	return as[T](value, name)
}

func as[T any](value any, name string) T {
	found, ok := value.(T)
	if !ok {
		panic(fmt.Sprintf("%s has a wrong type, %T", name, value))
	}
	return found
}

func listOf[T any](values []any, name string) []T {
	found := make([]T, len(values))
	for index, value := range values {
		found[index] = as[T](value, name)
	}
	return found
}

// --- columns -----------------------------------------------------------------------------------

var widths = map[string]int{"f8": 8, "i8": 8, "b1": 1}

func unpack(parts []any) Tensor {
	if len(parts) != 3 {
		panic("a tensor that has not three parts")
	}
	tensor := Tensor{Dtype: as[string](parts[0], "dtype"), Shape: listOf[int64](as[[]any](parts[1], "shape"), "shape")}
	size := int64(1)
	for _, axis := range tensor.Shape {
		if axis < 0 || axis > math.MaxInt32 || size*axis > math.MaxInt32 {
			panic("a tensor of an impossible size")
		}
		size *= axis
	}
	if tensor.Dtype == "str" {
		tensor.Values = as[[]any](parts[2], "data")
		listOf[string](tensor.Values, "data")
	} else {
		tensor.Values = numbers(tensor.Dtype, as[[]byte](parts[2], "data"))
	}
	if int64(len(tensor.Values)) != size {
		panic(fmt.Sprintf("a tensor of %s%v with %d values", tensor.Dtype, tensor.Shape, len(tensor.Values)))
	}
	return tensor
}

func numbers(dtype string, data []byte) []any {
	width, known := widths[dtype]
	if !known || len(data)%width != 0 {
		panic(fmt.Sprintf("a tensor of %s with %d bytes", dtype, len(data)))
	}
	values := make([]any, len(data)/width)
	for index := range values {
		switch at := data[index*width:]; dtype {
		case "f8":
			values[index] = math.Float64frombits(binary.LittleEndian.Uint64(at))
		case "i8":
			values[index] = int64(binary.LittleEndian.Uint64(at))
		case "b1":
			values[index] = at[0] != 0
		}
	}
	return values
}

func pack(tensor Tensor) []any {
	shape := make([]any, len(tensor.Shape))
	for index, axis := range tensor.Shape {
		shape[index] = axis
	}
	if tensor.Dtype == "str" {
		return []any{tensor.Dtype, shape, tensor.Values}
	}
	data := []byte{}
	for _, value := range tensor.Values {
		switch value := value.(type) {
		case float64:
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(value))
		case int64:
			data = binary.LittleEndian.AppendUint64(data, uint64(value))
		case bool:
			data = append(data, map[bool]byte{true: 1}[value])
		}
	}
	return []any{tensor.Dtype, shape, data}
}

// write makes a scores frame in the order of docs/protocol.md.
func write(scores Scores) []byte {
	fields := []Field{
		{"kind", "scores"}, {"endpoint", scores.Endpoint}, {"revision", scores.Revision}, {"source", scores.Source},
		{"seq", scores.Seq}, {"origin", scores.Origin}, {"frame", scores.Frame}, {"model", scores.Model},
		{"version", scores.Version}, {"role", scores.Role}, {"ids", scores.Ids},
	}
	if scores.Rows != nil {
		fields = append(fields, Field{"rows", scores.Rows})
	}
	if scores.Error != "" {
		fields = append(fields, Field{"error", scores.Error})
	}
	if scores.Errors != nil {
		fields = append(fields, Field{"errors", scores.Errors})
	}
	if scores.Late != nil {
		fields = append(fields, Field{"late", scores.Late})
	}
	columns := []Field{}
	for _, name := range scores.Names {
		columns = append(columns, Field{name, pack(scores.Columns[name])})
	}
	fields = append(fields, Field{"done", scores.Done}, Field{"queue_ms", scores.QueueMs},
		Field{"compute_ms", scores.ComputeMs}, Field{"columns", columns})
	return encode(nil, fields)
}
