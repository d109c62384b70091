// franz-go: the steps of scenarios/group_clients.py. Its GroupTransactSession ties offsets to transactions.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
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

func (r run) client(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(r.bootstrap))...)
	must(err)
	return client
}

func (r run) member(group, topic string, opts ...kgo.Opt) *kgo.Client {
	return r.client(append(opts, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
}

// gather polls the members in turn until they gave `count` values, each of them once.
func (r run) gather(count int, members ...*kgo.Client) map[string]bool {
	seen := map[string]bool{}
	for len(seen) < count {
		for _, member := range members {
			ctx, cancel := context.WithTimeout(r.ctx, 100*time.Millisecond)
			fetches := member.PollFetches(ctx)
			cancel()
			must(r.ctx.Err())
			if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				must(err)
			}
			fetches.EachRecord(func(rec *kgo.Record) {
				demand(!seen[string(rec.Value)], "a value is read once", string(rec.Value))
				seen[string(rec.Value)] = true
			})
		}
	}
	return seen
}

func (r run) group() {
	member := r.member(r.name, r.in)
	defer member.Close()
	r.gather(first, member)
	must(member.CommitUncommittedOffsets(r.ctx))
	fmt.Println("ok: group")
}

func (r run) shared() {
	one, two := r.member(r.name, r.in), r.member(r.name, r.in)
	defer one.Close()
	defer two.Close()
	records := make([]*kgo.Record, more)
	for i := range records {
		records[i] = &kgo.Record{Topic: r.in, Partition: int32(i % partitions), Value: fmt.Appendf(nil, "more-%d", i)}
	}
	for { // both must have their share before there is anything to read
		r.gather(0, one, two)
		for _, member := range []*kgo.Client{one, two} {
			ctx, cancel := context.WithTimeout(r.ctx, 100*time.Millisecond)
			fetches := member.PollFetches(ctx)
			cancel()
			demand(fetches.NumRecords() == 0, "nothing is read twice", fetches.NumRecords())
		}
		must(r.ctx.Err())
		a, b := owned(one), owned(two)
		if len(a) == 2 && len(b) == 2 {
			break
		}
	}
	producer := r.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	must(producer.ProduceSync(r.ctx, records...).FirstErr())
	for value := range r.gather(more, one, two) {
		demand(strings.HasPrefix(value, "more-"), "a value of the second part", value)
	}
	must(one.CommitUncommittedOffsets(r.ctx))
	must(two.CommitUncommittedOffsets(r.ctx))
	fmt.Println("ok: shared")
}

// owned lists the partitions that the member has positions in.
func owned(member *kgo.Client) []int32 {
	var all []int32
	for _, parts := range member.CommittedOffsets() {
		for part := range parts {
			all = append(all, part)
		}
	}
	return all
}

func (r run) transactions() {
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(r.bootstrap), kgo.ConsumerGroup(r.name+"-tx"), kgo.ConsumeTopics(r.in),
		kgo.TransactionalID(r.name+"-tx"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets())
	must(err)
	defer session.Close()
	done := 0
	for attempt := 0; done < first+more; {
		fetches := session.PollRecords(r.ctx, 100)
		must(fetches.Err())
		if fetches.NumRecords() == 0 {
			continue
		}
		must(session.Begin())
		fetches.EachRecord(func(rec *kgo.Record) {
			session.Produce(r.ctx, &kgo.Record{Topic: r.out, Partition: rec.Partition, Value: append([]byte("out-"), rec.Value...)},
				func(_ *kgo.Record, err error) { must(err) })
		})
		how := kgo.TransactionEndTry(attempt%3 != 0)
		attempt++
		must(session.Client().Flush(r.ctx))
		committed, err := session.End(r.ctx, how)
		must(err)
		demand(committed == bool(how), "the transaction ended as asked", committed, how)
		if committed {
			done += fetches.NumRecords()
		}
	}
	fmt.Println("ok: transactions")
}

func (r run) readCommitted() {
	reader := r.member(r.name+"-read", r.out, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	for value := range r.gather(first+more, reader) {
		demand(strings.HasPrefix(value, "out-"), "a value of the output", value)
	}
	fmt.Println("ok: read committed")
}

func (r run) fenced() {
	id := kgo.TransactionalID(r.name + "-fenced")
	old := r.client(id)
	defer old.Close()
	must(old.BeginTransaction())
	must(old.ProduceSync(r.ctx, &kgo.Record{Topic: r.out, Value: []byte("never")}).FirstErr())
	young := r.client(id)
	defer young.Close()
	must(young.BeginTransaction())
	must(young.ProduceSync(r.ctx, &kgo.Record{Topic: r.out, Value: []byte("nothing")}).FirstErr())
	err := old.EndTransaction(r.ctx, kgo.TryCommit)
	demand(errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced), "commit of the older producer", err)
	must(young.EndTransaction(r.ctx, kgo.TryAbort))
	fmt.Println("ok: fenced")
}
