// sarama: the steps of scenarios/group_clients.py. A batch whose transaction was aborted is held and sent again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	first      = 1000
	more       = 40
	partitions = 4
)

type run struct {
	ctx                      context.Context
	bootstrap, in, out, name string
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	r := run{ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4]}
	r.group()
	r.shared()
	r.transactions()
	r.readCommitted()
	r.fenced()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func demand(ok bool, what string, got ...any) {
	if !ok {
		must(fmt.Errorf("%s: %v", what, got))
	}
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_2_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.Strategy = sarama.NewBalanceStrategyRange()
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	return config
}

func transactional(id string) *sarama.Config {
	config := settings()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = id
	config.Net.MaxOpenRequests = 1
	return config
}

// handler counts claims and hands over batches; `work` returns when the batch is dealt with.
type handler struct {
	mutex  sync.Mutex
	claims int
	work   func(sarama.ConsumerGroupSession, []*sarama.ConsumerMessage)
}

func (h *handler) Setup(session sarama.ConsumerGroupSession) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.claims = 0
	for _, parts := range session.Claims() {
		h.claims += len(parts)
	}
	return nil
}

func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		batch := []*sarama.ConsumerMessage{message}
		for open := true; open && len(batch) < 100; {
			select {
			case next, ok := <-claim.Messages():
				if open = ok; ok {
					batch = append(batch, next)
				}
			default:
				open = false
			}
		}
		h.mutex.Lock()
		h.work(session, batch)
		h.mutex.Unlock()
	}
	return nil
}

func (h *handler) count() int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.claims
}

// member consumes in the background until stop is called, which leaves the group.
func (r run) member(group, topic string, h *handler) (stop func()) {
	consumer, err := sarama.NewConsumerGroup([]string{r.bootstrap}, group, settings())
	must(err)
	ctx, cancel := context.WithCancel(r.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := consumer.Consume(ctx, []string{topic}, h); !errors.Is(err, sarama.ErrClosedConsumerGroup) {
				must(err)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		must(consumer.Close())
	}
}

// seen gathers values, each of them once, and commits what it was given.
type seen struct {
	mutex  sync.Mutex
	values map[string]bool
}

func (s *seen) take(session sarama.ConsumerGroupSession, batch []*sarama.ConsumerMessage) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, message := range batch {
		demand(!s.values[string(message.Value)], "a value is read once", string(message.Value))
		s.values[string(message.Value)] = true
		session.MarkMessage(message, "")
	}
	session.Commit()
}

func (s *seen) size() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.values)
}

func (r run) until(what string, ready func() bool) {
	for !ready() {
		demand(r.ctx.Err() == nil, "in time: "+what)
		time.Sleep(20 * time.Millisecond)
	}
}

func (r run) group() {
	all := &seen{values: map[string]bool{}}
	stop := r.member(r.name, r.in, &handler{work: all.take})
	r.until("all is read", func() bool { return all.size() == first })
	stop()
	fmt.Println("ok: group")
}

func (r run) shared() {
	all := &seen{values: map[string]bool{}}
	one, two := &handler{work: all.take}, &handler{work: all.take}
	stopOne, stopTwo := r.member(r.name, r.in, one), r.member(r.name, r.in, two)
	r.until("both have a share", func() bool { return one.count() == 2 && two.count() == 2 })
	producer, err := sarama.NewSyncProducer([]string{r.bootstrap}, settings())
	must(err)
	for i := range more {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: r.in, Partition: int32(i % partitions), Value: sarama.StringEncoder(fmt.Sprintf("more-%d", i))})
		must(err)
	}
	must(producer.Close())
	r.until("the second part is read", func() bool { return all.size() >= more })
	for value := range all.values {
		demand(strings.HasPrefix(value, "more-"), "a value of the second part", value)
	}
	stopOne()
	stopTwo()
	fmt.Println("ok: shared")
}

func (r run) transactions() {
	producer, err := sarama.NewSyncProducer([]string{r.bootstrap}, transactional(r.name+"-tx"))
	must(err)
	attempt, done := 0, 0
	var mutex sync.Mutex
	work := func(_ sarama.ConsumerGroupSession, batch []*sarama.ConsumerMessage) {
		mutex.Lock()
		defer mutex.Unlock()
		for committed := false; !committed; attempt++ {
			must(producer.BeginTxn())
			for _, message := range batch {
				_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: r.out, Partition: message.Partition, Value: sarama.StringEncoder("out-" + string(message.Value))})
				must(err)
			}
			last := batch[len(batch)-1]
			must(producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{r.in: {{Partition: last.Partition, Offset: last.Offset + 1}}}, r.name+"-tx"))
			if committed = attempt%3 != 0; committed {
				must(producer.CommitTxn())
			} else {
				must(producer.AbortTxn())
			}
		}
		done += len(batch)
	}
	stop := r.member(r.name+"-tx", r.in, &handler{work: work})
	r.until("all is processed", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return done == first+more
	})
	stop()
	must(producer.Close())
	fmt.Println("ok: transactions")
}

func (r run) readCommitted() {
	all := &seen{values: map[string]bool{}}
	stop := r.member(r.name+"-read", r.out, &handler{work: all.take})
	r.until("the output is read", func() bool { return all.size() == first+more })
	stop()
	for value := range all.values {
		demand(strings.HasPrefix(value, "out-"), "a value of the output", value)
	}
	fmt.Println("ok: read committed")
}

func (r run) fenced() {
	send := func(producer sarama.SyncProducer, value string) error {
		if err := producer.BeginTxn(); err != nil {
			return err
		}
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: r.out, Value: sarama.StringEncoder(value)})
		return err
	}
	old, err := sarama.NewSyncProducer([]string{r.bootstrap}, transactional(r.name+"-fenced"))
	must(err)
	must(send(old, "never"))
	young, err := sarama.NewSyncProducer([]string{r.bootstrap}, transactional(r.name+"-fenced"))
	must(err)
	must(send(young, "nothing"))
	err = old.CommitTxn()
	demand(errors.Is(err, sarama.ErrProducerFenced) || errors.Is(err, sarama.ErrInvalidProducerEpoch), "commit of the older producer", err)
	must(young.AbortTxn())
	must(young.Close())
	fmt.Println("ok: fenced")
}
