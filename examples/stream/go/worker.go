// A Podium worker on the stream (docs/protocol.md, "A worker in another language"). Podium starts it as the
// `command` of a model with `stream = true`; model.go is the model, scoring.go asks it.
//
// One goroutine does everything, so a model that hangs answers no probes, and is replaced.

package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	retry   = 50 * time.Millisecond
	backlog = 1 << 16
)

type worker struct {
	endpoint, contender, own, source string
	seq                              int64
	batchRows                        int
	joined                           bool
	connection                       *nats.Conn
	subscriptions                    []*nats.Subscription
	messages                         chan *nats.Msg
	ended                            chan struct{}
	waiting                          []*Frame
	receipts                         receipts
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "vectors" {
		os.Exit(vectors(os.Args[2]))
	}
	url, own := os.Getenv("PODIUM_STREAM"), os.Getenv("PODIUM_OWN")
	w := &worker{
		endpoint: os.Getenv("PODIUM_ENDPOINT"), contender: os.Getenv("PODIUM_CONTENDER"), own: own,
		joined: own == "", // who is started by hand takes part at once, others when they are let in
	}
	if w.batchRows, _ = strconv.Atoi(os.Getenv("PODIUM_BATCH_ROWS")); w.batchRows < 1 {
		w.batchRows = 4096
	}
	if url == "" || w.endpoint == "" || w.contender == "" {
		log.Fatal("PODIUM_STREAM, PODIUM_ENDPOINT and PODIUM_CONTENDER say where to work; `podium up` sets them")
	}
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		log.Fatal(err)
	}
	w.source = fmt.Sprintf("go-%x", random)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	for w.connect(url, stop) {
		if w.work(stop) {
			w.drain()
			return
		}
		log.Print("the broker is away")
	}
}

// --- the connection ----------------------------------------------------------------------------

// connect makes a new connection; what was not kept is sent again before anything new. False: to stop.
func (w *worker) connect(url string, stop chan os.Signal) bool {
	for {
		ended := make(chan struct{})
		closed := nats.ClosedHandler(func(*nats.Conn) { close(ended) })
		connection, err := nats.Connect(servers(url), nats.NoReconnect(), nats.PingInterval(5*time.Second), closed)
		if err == nil {
			w.connection, w.subscriptions, w.ended = connection, nil, ended
			w.messages = make(chan *nats.Msg, backlog)
			if err = w.receipts.restart(connection, w.subject("again")); err == nil {
				err = w.listenToAll()
			}
		}
		if err == nil {
			return true
		}
		log.Printf("not connected: %v", err)
		if connection != nil {
			connection.Close()
		}
		select {
		case <-stop:
			return false
		case <-time.After(retry):
		}
	}
}

// servers takes apart what shares a password, `nats://USER:PASSWORD@A:4222,B:4222?…`, as the client wants it.
func servers(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	rest, _, _ = strings.Cut(rest, "?")
	at := strings.LastIndex(rest, "@") + 1
	var each []string
	for _, host := range strings.Split(rest[at:], ",") {
		each = append(each, scheme+"://"+rest[:at]+host)
	}
	return strings.Join(each, ",")
}

func (w *worker) listenToAll() error {
	if _, err := w.connection.ChanSubscribe(w.receipts.inbox+".*", w.messages); err != nil {
		return err
	}
	if w.own != "" {
		if err := w.listen(w.own, ""); err != nil {
			return err
		}
	}
	if w.joined {
		return w.join()
	}
	return nil
}

func (w *worker) listen(name, group string) error {
	subscription, err := w.connection.ChanQueueSubscribe(w.subject(name), group, w.messages)
	w.subscriptions = append(w.subscriptions, subscription)
	return err
}

// join takes part: one worker of each contender gets a frame.
func (w *worker) join() error {
	w.joined = true
	if err := w.listen("input", w.contender); err != nil {
		return err
	}
	return w.listen("probe."+w.contender, w.contender)
}

func (w *worker) subject(name string) string { return "podium." + w.endpoint + "." + name }

// --- what comes in -----------------------------------------------------------------------------

// work scores until the connection ends, or it is told to stop (true).
func (w *worker) work(stop chan os.Signal) bool {
	for {
		select {
		case message := <-w.messages:
			w.take(message)
			w.takeWhatWaits()
			w.scoreWhatWaits()
		case <-w.ended:
			return false
		case <-stop:
			return true
		}
	}
}

// takeWhatWaits lets all that has come be one batch.
func (w *worker) takeWhatWaits() {
	for {
		select {
		case message := <-w.messages:
			w.take(message)
		default:
			return
		}
	}
}

func (w *worker) take(message *nats.Msg) {
	if w.receipts.take(message) {
		return
	}
	frame, err := read(message.Data, "input", "probe")
	switch {
	case err != nil:
		log.Printf("dropped a message on %s: %v", message.Subject, err)
	case frame.Kind == "probe":
		w.answerProbe(&frame)
	case frame.Large != nil:
		w.takeLarge(&frame)
	default:
		w.waiting = append(w.waiting, &frame)
	}
}

// takeLarge fetches what is too large for a frame, once; without it the frame's scores are an error.
func (w *worker) takeLarge(frame *Frame) {
	if w.isNotOurs(frame) {
		return
	}
	if err := w.fetchLarge(frame); err != nil {
		queue := float64(now()-frame.Sent) / 1000
		w.send(frame, w.addressed(frame, Scores{Error: err.Error(), QueueMs: queue, Columns: map[string]Tensor{}}))
		return
	}
	w.waiting = append(w.waiting, frame)
}

func (w *worker) isNotOurs(frame *Frame) bool {
	_, named := frame.Contenders[w.contender]
	return frame.Expires <= now() || (frame.Contenders != nil && !named)
}

func (w *worker) answerProbe(probe *Frame) {
	if !w.joined { // the first probe of one's own says: the samples were right
		if err := w.join(); err != nil {
			log.Printf("not joined: %v", err)
			return
		}
	}
	scores := w.addressed(probe, Scores{Done: now(), Ids: []string{}})
	scores.Seq = 0
	w.publish(probe.Reply, write(scores), "")
}

// --- what goes out -----------------------------------------------------------------------------

func (w *worker) scoreWhatWaits() {
	for len(w.waiting) > 0 {
		frames := w.nextBatch()
		started, clock := now(), time.Now()
		results := scoreFrames(frames)
		compute := time.Since(clock).Seconds() * 1000
		for index, frame := range frames {
			scores := w.addressed(frame, results[index])
			scores.QueueMs, scores.ComputeMs = float64(started-frame.Sent)/1000, compute
			w.send(frame, scores)
		}
	}
}

// nextBatch takes frames that still matter: not expired, and ours to score.
func (w *worker) nextBatch() (frames []*Frame) {
	for rows := 0; len(w.waiting) > 0 && rows < w.batchRows; {
		frame := w.waiting[0]
		w.waiting = w.waiting[1:]
		if w.isNotOurs(frame) {
			continue
		}
		frames = append(frames, frame)
		for index := range frame.Ids {
			if index < len(frame.Rows) {
				rows += int(frame.Rows[index])
			} else {
				rows++
			}
		}
	}
	return frames
}

func (w *worker) send(frame *Frame, scores Scores) {
	scores.Done = now()
	if scores.Done > frame.Expires {
		return
	}
	for index, deadline := range frame.Deadline {
		if scores.Done > deadline {
			scores.Late = append(scores.Late, int64(index))
		}
	}
	payload := write(scores)
	if int64(len(payload)) > w.connection.MaxPayload() {
		scores.Error, scores.Errors, scores.Names = "the scores are too large", nil, nil
		payload = write(scores)
	}
	w.seq = scores.Seq
	receipt := ""
	if strings.HasPrefix(frame.Reply, "scores.") { // it is kept
		receipt = w.receipts.remember(w.seq, payload)
	}
	w.publish(frame.Reply, payload, receipt)
}

// addressed fills in whose scores these are, and of what.
func (w *worker) addressed(frame *Frame, scores Scores) Scores {
	model, version, _ := strings.Cut(w.contender, "@")
	scores.Endpoint, scores.Revision = frame.Endpoint, frame.Revision
	scores.Source, scores.Seq, scores.Origin, scores.Frame = w.source, w.seq+1, frame.Source, frame.Seq
	scores.Model, scores.Version, scores.Role = model, version, "challenger"
	if role, named := frame.Contenders[w.contender]; named {
		scores.Role = role
	}
	scores.Ids, scores.Rows = frame.Ids, frame.Rows
	if scores.Ids == nil {
		scores.Ids = []string{}
	}
	return scores
}

// publish does not fail: what is to be kept is remembered, and sent again on the next connection.
func (w *worker) publish(name string, payload []byte, receipt string) {
	message := &nats.Msg{Subject: w.subject(name), Data: payload, Reply: receipt}
	if err := w.connection.PublishMsg(message); err != nil {
		log.Printf("not published: %v", err)
	}
}

// drain takes nothing new, scores what is here, and goes.
func (w *worker) drain() {
	for _, subscription := range w.subscriptions {
		if err := subscription.Drain(); err != nil { // Unsubscribe would drop what is on its way
			log.Printf("while stopping: %v", err)
		}
	}
	w.flush() // what the broker sent before it heard of that has come now
	w.takeWhatWaits()
	w.scoreWhatWaits()
	w.flush()
	w.connection.Close()
}

func (w *worker) flush() {
	if err := w.connection.FlushTimeout(time.Second); err != nil {
		log.Printf("while stopping: %v", err)
	}
}

func now() int64 { return time.Now().UnixMicro() }
