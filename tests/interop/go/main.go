// franz-go: the steps of scenarios/clients.py.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	clientName = "franz-go"
	count      = 10_000
	partitions = 4
	tooLarge   = 2_000_000
)

// run holds the arguments of the program.
type run struct {
	ctx       context.Context
	bootstrap string
	topic     string
	base      int64
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	base, err := strconv.ParseInt(os.Args[3], 10, 64)
	must(err)
	r := run{ctx, os.Args[1], os.Args[2], base}
	r.create()
	r.produce()
	r.read()
	r.timestamps()
	r.errors()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func demand(got, want any, what string) {
	if !reflect.DeepEqual(got, want) {
		must(fmt.Errorf("%s: got %v, want %v", what, got, want))
	}
}

func fails(err, want error, what string) {
	if !errors.Is(err, want) {
		must(fmt.Errorf("%s: got error %v, want %v", what, err, want))
	}
}

func (r run) client(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(r.bootstrap))...)
	must(err)
	return client
}

// record is record i as every client writes it (see harness/records.py).
func (r run) record(i int) *kgo.Record {
	rec := &kgo.Record{
		Topic: r.topic, Partition: int32(i % partitions), Timestamp: time.UnixMilli(r.base + int64(i)),
		Headers: []kgo.RecordHeader{
			{Key: "index", Value: []byte(strconv.Itoa(i))}, {Key: "client", Value: []byte(clientName)}, {Key: "empty", Value: []byte{}},
		},
	}
	if i%97 != 0 {
		rec.Key = []byte(fmt.Sprintf("key-%d", i%100))
	}
	if i%89 != 0 || i%97 == 0 {
		rec.Value = []byte(fmt.Sprintf("value-%d-%s", i, strings.Repeat("x", i%200)))
	}
	return rec
}

func (r run) create() {
	client := r.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	_, err := admin.CreateTopic(r.ctx, partitions, 1, nil, r.topic)
	must(err)
	_, err = admin.CreateTopic(r.ctx, partitions, 1, nil, r.topic)
	fails(err, kerr.TopicAlreadyExists, "second creation")
	fmt.Println("ok: created")
}

func (r run) produce() {
	client := r.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	defer client.Close()
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = r.record(i)
	}
	results := client.ProduceSync(r.ctx, records...)
	must(results.FirstErr())
	for i, rec := range records {
		demand(rec.Offset, int64(i/partitions), fmt.Sprintf("offset of record %d", i))
	}
	fmt.Println("ok: produced")
}

func assign(topic string, offsets []int64) kgo.Opt {
	positions := map[int32]kgo.Offset{}
	for partition, offset := range offsets {
		positions[int32(partition)] = kgo.NewOffset().At(offset)
	}
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: positions})
}

func (r run) read() {
	client := r.client(assign(r.topic, make([]int64, partitions)), kgo.FetchMaxPartitionBytes(50_000))
	defer client.Close()
	seen, total := make([]int, partitions), 0
	for total < count {
		fetches := client.PollFetches(r.ctx)
		must(fetches.Err())
		fetches.EachRecord(func(got *kgo.Record) {
			i := seen[got.Partition]*partitions + int(got.Partition)
			want := r.record(i)
			what := fmt.Sprintf("record %d", i)
			demand(got.Offset, int64(i/partitions), what+": offset")
			demand(got.Timestamp.UnixMilli(), want.Timestamp.UnixMilli(), what+": timestamp")
			demand(got.Attrs.TimestampType(), int8(0), what+": timestamp type")
			demand([]any{got.Key, got.Value}, []any{want.Key, want.Value}, what+": key and value")
			demand(fmt.Sprintf("%q", got.Headers), fmt.Sprintf("%q", want.Headers), what+": headers")
			seen[got.Partition]++
			total++
		})
	}
	fmt.Println("ok: read")
}

func (r run) timestamps() {
	stamp := r.base + 4001
	client := r.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	found, err := admin.ListOffsetsAfterMilli(r.ctx, stamp, r.topic)
	must(err)
	must(found.Error())
	for partition := range int32(partitions) {
		want := (stamp - r.base - int64(partition) + partitions - 1) / partitions
		got, _ := found.Lookup(r.topic, partition)
		demand(got.Offset, want, fmt.Sprintf("offset by time in partition %d", partition))
	}
	ends, err := admin.ListEndOffsets(r.ctx, r.topic)
	must(err)
	ends.Each(func(end kadm.ListedOffset) { demand(end.Offset, int64(count/partitions), "end offset") })
	seeking := r.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		r.topic: {0: kgo.NewOffset().AfterMilli(stamp)},
	}))
	defer seeking.Close()
	first := seeking.PollRecords(r.ctx, 1)
	must(first.Err())
	demand(first.Records()[0].Timestamp.UnixMilli(), r.base+4004, "first record after the seek")
	fmt.Println("ok: timestamps")
}

func (r run) errors() {
	wide := r.client(kgo.ProducerBatchMaxBytes(tooLarge*2), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer wide.Close()
	err := wide.ProduceSync(r.ctx, &kgo.Record{Topic: r.topic, Value: make([]byte, tooLarge)}).FirstErr()
	fails(err, kerr.MessageTooLarge, "too large")
	fmt.Println("ok: too large")
	absent := r.topic + "-absent"
	err = wide.ProduceSync(r.ctx, &kgo.Record{Topic: absent, Value: []byte("x")}).FirstErr()
	fails(err, kerr.UnknownTopicOrPartition, "produce to an unknown topic")
	admin := kadm.NewClient(wide)
	deleted, err := admin.DeleteTopics(r.ctx, absent)
	must(err)
	fails(deleted[absent].Err, kerr.UnknownTopicOrPartition, "delete an unknown topic")
	topics, err := admin.ListTopics(r.ctx, absent)
	must(err)
	fails(topics[absent].Err, kerr.UnknownTopicOrPartition, "metadata of an unknown topic")
	fmt.Println("ok: unknown topic")
}
