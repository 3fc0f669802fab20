// MessagePack as docs/protocol.md wants it: text is UTF-8, nothing follows the value.

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Field is one entry of a map that is written: maps are written in the order that is given.
type Field struct {
	Key   any
	Value any
}

var errShort = errors.New("the message ends in a value")

// decode returns nil, bool, int64, float64, string, []byte, []any or map[any]any.
func decode(message []byte) (value any, err error) {
	reader := &reader{rest: message}
	defer func() {
		if problem := recover(); problem != nil {
			value, err = nil, fmt.Errorf("%v", problem)
		}
	}()
	value = reader.value(0)
	if len(reader.rest) > 0 {
		return nil, errors.New("bytes after the value")
	}
	return value, nil
}

type reader struct{ rest []byte }

func (r *reader) take(size int) []byte {
	if size < 0 || size > len(r.rest) {
		panic(errShort)
	}
	taken := r.rest[:size]
	r.rest = r.rest[size:]
	return taken
}

// number reads an unsigned integer of so many bytes.
func (r *reader) number(size int) uint64 {
	var found uint64
	for _, each := range r.take(size) {
		found = found<<8 | uint64(each)
	}
	return found
}

func (r *reader) value(depth int) any {
	if depth > 100 {
		panic("a value that is nested too deep")
	}
	head := r.take(1)[0]
	switch {
	case head < 0x80:
		return int64(head)
	case head < 0x90:
		return r.pairs(int(head&15), depth)
	case head < 0xa0:
		return r.list(int(head&15), depth)
	case head < 0xc0:
		return r.text(int(head & 31))
	case head >= 0xe0:
		return int64(int8(head))
	}
	switch head {
	case 0xc0:
		return nil
	case 0xc2, 0xc3:
		return head == 0xc3
	case 0xc4, 0xc5, 0xc6:
		return r.take(int(r.number(1 << (head - 0xc4))))
	case 0xca:
		return float64(math.Float32frombits(uint32(r.number(4))))
	case 0xcb:
		return math.Float64frombits(r.number(8))
	case 0xcc, 0xcd, 0xce, 0xcf:
		found := r.number(1 << (head - 0xcc))
		if found > math.MaxInt64 {
			panic("an integer of more than 63 bits")
		}
		return int64(found)
	case 0xd0:
		return int64(int8(r.number(1)))
	case 0xd1:
		return int64(int16(r.number(2)))
	case 0xd2:
		return int64(int32(r.number(4)))
	case 0xd3:
		return int64(r.number(8))
	case 0xd9, 0xda, 0xdb:
		return r.text(int(r.number(1 << (head - 0xd9))))
	case 0xdc, 0xdd:
		return r.list(int(r.number(2<<(head-0xdc))), depth)
	case 0xde, 0xdf:
		return r.pairs(int(r.number(2<<(head-0xde))), depth)
	}
	panic(fmt.Sprintf("a value that begins with %#x", head))
}

func (r *reader) text(size int) string {
	taken := r.take(size)
	if !utf8.Valid(taken) {
		panic("text that is not UTF-8")
	}
	return string(taken)
}

func (r *reader) list(size, depth int) []any {
	found := []any{}
	for ; size > 0; size-- {
		found = append(found, r.value(depth+1))
	}
	return found
}

func (r *reader) pairs(size, depth int) map[any]any {
	found := map[any]any{}
	for ; size > 0; size-- {
		key := r.value(depth + 1)
		switch key.(type) {
		case string, int64:
			found[key] = r.value(depth + 1)
		default:
			panic("a key that is neither text nor an integer")
		}
	}
	return found
}

// encode writes nil, bool, int, int64, float64, string, []byte, lists of these, []any and []Field.
func encode(to []byte, value any) []byte {
	switch value := value.(type) {
	case nil:
		return append(to, 0xc0)
	case bool:
		if value {
			return append(to, 0xc3)
		}
		return append(to, 0xc2)
	case int:
		return encodeInt(to, int64(value))
	case int64:
		return encodeInt(to, value)
	case float64:
		return binary.BigEndian.AppendUint64(append(to, 0xcb), math.Float64bits(value))
	case string:
		return append(encodeHead(to, len(value), 0xa0, 32, 0xd9), value...)
	case []byte:
		return append(encodeHead(to, len(value), 0, 0, 0xc4), value...)
	case []string:
		return encodeList(to, value)
	case []int64:
		return encodeList(to, value)
	case []any:
		return encodeList(to, value)
	case []Field:
		to = encodeHead(to, len(value), 0x80, 16, 0xdd)
		for _, field := range value {
			to = encode(encode(to, field.Key), field.Value)
		}
		return to
	}
	panic(fmt.Sprintf("%T cannot be written", value))
}

func encodeList[T any](to []byte, values []T) []byte {
	to = encodeHead(to, len(values), 0x90, 16, 0xdb)
	for _, each := range values {
		to = encode(to, each)
	}
	return to
}

// encodeHead writes a size: in the head `fix` where it is below `limit`, else after `base`, `base`+1 or
// `base`+2 as one, two or four bytes. Lists and maps have no head for one byte.
func encodeHead(to []byte, size int, fix byte, limit int, base byte) []byte {
	switch {
	case size < limit:
		return append(to, fix|byte(size))
	case size < 1<<8 && base != 0xdb && base != 0xdd:
		return append(to, base, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(to, base+1), uint16(size))
	}
	return binary.BigEndian.AppendUint32(append(to, base+2), uint32(size))
}

func encodeInt(to []byte, value int64) []byte {
	switch {
	case value >= -32 && value < 1<<7:
		return append(to, byte(value))
	case value < 0:
		return binary.BigEndian.AppendUint64(append(to, 0xd3), uint64(value))
	case value < 1<<8:
		return append(to, 0xcc, byte(value))
	case value < 1<<16:
		return binary.BigEndian.AppendUint16(append(to, 0xcd), uint16(value))
	case value < 1<<32:
		return binary.BigEndian.AppendUint32(append(to, 0xce), uint32(value))
	}
	return binary.BigEndian.AppendUint64(append(to, 0xcf), uint64(value))
}
