// sarama for scenarios/cluster_chaos.py: an idempotent producer, or a reader, that writes its history (harness/history says what is in one):
// produce BOOTSTRAP TOPIC PARTITIONS FILE NAME RATE, or read BOOTSTRAP TOPIC PARTITIONS FILE NAME ISOLATION(rc|ru) RACK.
// Ends when a line comes on standard input. No record may fail, and no offset may be out of range.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sys/unix"
)

const window = 5000

// now is the machine's monotonic clock: the same that Python's and Java's programs read.
func now() float64 {
	var at unix.Timespec
	must(unix.ClockGettime(unix.CLOCK_MONOTONIC, &at))
	return float64(at.Sec) + float64(at.Nsec)/1e9
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// history is the file of events.
type history struct {
	mutex   sync.Mutex
	out     *bufio.Writer
	flushed float64
}

func (h *history) write(format string, args ...any) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	_, err := fmt.Fprintf(h.out, format+"\n", args...)
	must(err)
	if at := now(); at > h.flushed+0.2 {
		h.flushed = at
		must(h.out.Flush())
	}
}

func (h *history) close() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	must(h.out.Flush())
}

func main() {
	args := os.Args[2:]
	file, err := os.Create(args[3])
	must(err)
	partitions, err := strconv.Atoi(args[2])
	must(err)
	h, ended := &history{out: bufio.NewWriter(file)}, make(chan struct{})
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	brokers := strings.Split(args[0], ",")
	if os.Args[1] == "produce" {
		rate, err := strconv.ParseFloat(args[5], 64)
		must(err)
		produce(h, ended, brokers, args[1], args[4], partitions, rate)
	} else {
		read(h, ended, brokers, args[1], args[4], partitions, args[5], args[6])
	}
	h.close()
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_2_0_0
	config.Net.DialTimeout, config.Net.ReadTimeout, config.Net.WriteTimeout = 2*time.Second, 4*time.Second, 4*time.Second
	config.Metadata.RefreshFrequency = 2 * time.Second
	config.Metadata.Retry.Max, config.Metadata.Retry.Backoff = 100, 100*time.Millisecond
	return config
}

func produce(h *history, ended chan struct{}, brokers []string, topic, name string, partitions int, rate float64) {
	config := settings()
	config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
	config.Producer.RequiredAcks, config.Producer.Partitioner = sarama.WaitForAll, sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	config.Producer.Retry.Max, config.Producer.Retry.Backoff = 100000, 100*time.Millisecond
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	producer, err := sarama.NewAsyncProducer(brokers, config)
	must(err)
	var open, failed atomic.Int64
	var answers sync.WaitGroup
	answers.Add(2)
	go func() {
		defer answers.Done()
		for message := range producer.Successes() {
			h.write(`{"e":"ack","c":"%s","n":%d,"o":%d,"t":%.6f}`, name, message.Metadata, message.Offset, now())
			open.Add(-1)
		}
	}()
	go func() {
		defer answers.Done()
		for failure := range producer.Errors() {
			fmt.Fprintln(os.Stderr, failure.Msg.Metadata, failure.Err)
			h.write(`{"e":"fail","c":"%s","n":%d,"t":%.6f,"why":%q}`, name, failure.Msg.Metadata, now(), failure.Err.Error())
			failed.Add(1)
			open.Add(-1)
		}
	}()
	send(h, ended, producer, &open, topic, name, partitions, rate)
	producer.AsyncClose()
	answers.Wait()
	if failed.Load() > 0 {
		h.close()
		must(fmt.Errorf("%d records failed", failed.Load()))
	}
}

func send(h *history, ended chan struct{}, producer sarama.AsyncProducer, open *atomic.Int64, topic, name string, partitions int, rate float64) {
	begin, sent := now(), int64(0)
	for {
		select {
		case <-ended:
			return
		case <-time.After(5 * time.Millisecond):
		}
		begin = max(begin, now()-float64(sent)/rate-1)
		for float64(sent) < rate*(now()-begin) && open.Load() < window {
			value := []byte(fmt.Sprintf("%s %d %s", name, sent, strings.Repeat("x", 60)))
			partition := int32(sent % int64(partitions))
			h.write(`{"e":"send","c":"%s","k":"idem","n":%d,"p":"%s/%d","h":%d,"t":%.6f}`, name, sent, topic, partition, crc32.ChecksumIEEE(value), now())
			open.Add(1)
			producer.Input() <- &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.ByteEncoder(value), Metadata: sent}
			sent++
		}
	}
}

func read(h *history, ended chan struct{}, brokers []string, topic, name string, partitions int, isolation, rack string) {
	config := settings()
	config.RackID = rack
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Retry.Backoff = 100 * time.Millisecond
	if isolation == "rc" {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	consumer, err := sarama.NewConsumer(brokers, config)
	must(err)
	var readers sync.WaitGroup
	var lost atomic.Bool
	for partition := range int32(partitions) {
		h.write(`{"e":"at","c":"%s","p":"%s/%d","o":0,"t":%.6f}`, name, topic, partition, now())
		one, err := consumer.ConsumePartition(topic, partition, 0)
		must(err)
		readers.Add(1)
		go func() {
			defer readers.Done()
			if follow(h, ended, one, topic, name, partition, isolation) {
				lost.Store(true)
			}
		}()
	}
	readers.Wait()
	if lost.Load() {
		h.close()
		must(errors.New("an offset is out of range"))
	}
}

// follow reads a partition to the end of the program; true if it was told that its offset is out of range.
func follow(h *history, ended chan struct{}, one sarama.PartitionConsumer, topic, name string, partition int32, isolation string) bool {
	next := int64(0)
	for {
		asked := now()
		select {
		case <-ended:
			return false
		case message, ok := <-one.Messages():
			if !ok {
				// Its errors say why.
				time.Sleep(10 * time.Millisecond)
				continue
			}
			next = message.Offset + 1
			words := strings.SplitN(string(message.Value), " ", 3)
			h.write(`{"e":"read","c":"%s","i":"%s","p":"%s/%d","o":%d,"n":["%s",%s],"h":%d,"t":%.6f}`, name, isolation, topic, partition, message.Offset, words[0],
				words[1], crc32.ChecksumIEEE(message.Value), now())
		case err, ok := <-one.Errors():
			if ok && errors.Is(err.Err, sarama.ErrOffsetOutOfRange) {
				h.write(`{"e":"range","c":"%s","p":"%s/%d","o":%d,"a":%.6f,"b":%.6f}`, name, topic, partition, next, asked, now())
				return true
			}
			if ok {
				fmt.Fprintln(os.Stderr, partition, err)
			} else {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}
