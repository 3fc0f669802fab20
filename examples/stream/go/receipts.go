// What was published and is not yet confirmed to be kept (docs/protocol.md, "Receipts").

package main

import (
	"bytes"
	"log"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	everyMessages = 64
	everyTime     = 50 * time.Millisecond
	rememberBytes = 64 << 20
)

type published struct {
	number  int64
	payload []byte
}

type receipts struct {
	open        []published
	bytes       int
	inbox       string
	askedNumber int64
	askedAt     time.Time
}

// remember keeps a message until it is confirmed; it returns the reply subject to ask for that, or nothing.
func (r *receipts) remember(number int64, payload []byte) string {
	r.open = append(r.open, published{number, payload})
	for r.bytes += len(payload); r.bytes > rememberBytes; {
		r.drop()
	}
	if number-r.askedNumber < everyMessages && time.Since(r.askedAt) < everyTime {
		return ""
	}
	r.askedNumber, r.askedAt = number, time.Now()
	return r.inbox + "." + strconv.FormatInt(number, 10)
}

// restart sends again, on a new connection and before anything else, what the broker may not have kept.
func (r *receipts) restart(connection *nats.Conn, again string) error {
	r.inbox = nats.NewInbox()
	for index, each := range r.open {
		message := &nats.Msg{Subject: again, Data: each.payload}
		if index == len(r.open)-1 {
			message.Reply = r.inbox + "." + strconv.FormatInt(each.number, 10)
		}
		if err := connection.PublishMsg(message); err != nil {
			return err
		}
	}
	return nil
}

// take reports whether the message was a receipt.
func (r *receipts) take(message *nats.Msg) bool {
	if !strings.HasPrefix(message.Subject, r.inbox+".") {
		return false
	}
	number, err := strconv.ParseInt(message.Subject[len(r.inbox)+1:], 10, 64)
	if err != nil {
		return true
	}
	if len(message.Data) == 0 || bytes.Contains(message.Data, []byte(`"error"`)) {
		log.Printf("the broker cannot keep messages: %s", message.Data)
	}
	for len(r.open) > 0 && r.open[0].number <= number {
		r.drop()
	}
	return true
}

func (r *receipts) drop() {
	r.bytes -= len(r.open[0].payload)
	r.open = r.open[1:]
}
