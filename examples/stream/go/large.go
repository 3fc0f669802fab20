// Columns that are too large for a frame: their data is an object in a bucket of JetStream's (docs/protocol.md,
// "Large columns"). Each of its parts is one request, which needs nothing but the connection.

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

const patience = 5 * time.Second

// Reference is where a column's data is, and what it must be.
type Reference struct {
	Object string
	Digest []byte
	Size   int64
}

// readLarge is the field `large` of an input frame.
func readLarge(fields map[any]any) map[string]Reference {
	if fields["large"] == nil {
		return nil
	}
	found := map[string]Reference{}
	for name, value := range need[map[any]any](fields, "large") {
		parts := as[[]any](value, "large")
		if len(parts) != 3 {
			panic("a reference that has not three parts")
		}
		found[as[string](name, "large")] = Reference{
			as[string](parts[0], "large"), as[[]byte](parts[1], "large"), as[int64](parts[2], "large"),
		}
	}
	return found
}

// fetchLarge fills in the data of the columns that the model takes.
func (w *worker) fetchLarge(frame *Frame) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()
	for name := range inputs {
		reference, there := frame.Large[name]
		column, known := frame.Columns[name]
		if !there || !known {
			continue
		}
		content, err := w.fetchObject(reference)
		if err != nil {
			return err
		}
		shape := make([]any, len(column.Shape))
		for index, axis := range column.Shape {
			shape[index] = axis
		}
		var data any = content
		if column.Dtype == "str" {
			if data, err = decode(content); err != nil {
				return err
			}
		}
		frame.Columns[name] = unpack([]any{column.Dtype, shape, data})
	}
	return nil
}

func (w *worker) fetchObject(reference Reference) ([]byte, error) {
	bucket := "podium-" + w.endpoint
	content := []byte{}
	for sequence := int64(1); int64(len(content)) < reference.Size; sequence++ {
		wanted, _ := json.Marshal(map[string]any{
			"seq": sequence, "next_by_subj": "$O." + bucket + ".C." + reference.Object,
		})
		reply, err := w.connection.Request("$JS.API.DIRECT.GET.OBJ_"+bucket, wanted, patience)
		if err != nil {
			return nil, fmt.Errorf("a large input cannot be fetched: %v", err)
		}
		if sequence, err = strconv.ParseInt(reply.Header.Get("Nats-Sequence"), 10, 64); err != nil {
			return nil, fmt.Errorf("a large input is not there: %d of %d bytes of %s", len(content), reference.Size, reference.Object)
		}
		content = append(content, reply.Data...)
	}
	if digest := sha256.Sum256(content); !bytes.Equal(digest[:], reference.Digest) {
		return nil, fmt.Errorf("the object %s has not the bytes that its digest names", reference.Object)
	}
	return content, nil
}
