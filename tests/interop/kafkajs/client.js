// KafkaJS: the steps of scenarios/clients.py. Its consumer knows only groups, so reading by assignment uses the
// library's own broker connection (its Fetch), which a group consumer uses as well.
'use strict'

const assert = require('assert')
const { Kafka, logLevel, CompressionTypes } = require('kafkajs')

const CLIENT = 'kafkajs'
const COUNT = 10000
const PARTITIONS = 4
const [bootstrap, topic, baseText] = process.argv.slice(2)
const base = Number(baseText)
const kafka = new Kafka({ clientId: CLIENT, brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 5 } })

const key = i => (i % 97 === 0 ? null : `key-${i % 100}`)
const value = i => (i % 89 === 0 && i % 97 !== 0 ? null : `value-${i}-${'x'.repeat(i % 200)}`)
const headers = i => ({ index: String(i), client: CLIENT, empty: '' })
const step = name => console.log(`ok: ${name}`)
const text = buffer => (buffer === null ? null : buffer.toString())

const seekOffset = (stamp, partition) => Math.max(0, Math.ceil((stamp - base - partition) / PARTITIONS))

async function fails(type, action, what) {
  try {
    await action()
  } catch (error) {
    const found = [error, error.cause, ...(error.errors || [])].filter(Boolean).map(e => e.type)
    assert.ok(found.includes(type), `${what}: got ${error.name} ${found}, want ${type}`)
    return
  }
  assert.fail(`${what}: no error, want ${type}`)
}

async function create(admin) {
  const topics = [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }]
  assert.strictEqual(await admin.createTopics({ topics }), true, 'first creation')
  assert.strictEqual(await admin.createTopics({ topics }), false, 'second creation')
  step('created')
}

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let from = 0; from < COUNT; from += 1000) {
    const messages = []
    for (let i = from; i < from + 1000; i++) {
      messages.push({ key: key(i), value: value(i), partition: i % PARTITIONS, timestamp: String(base + i), headers: headers(i) })
    }
    const answers = await producer.send({ topic, messages, acks: -1, compression: CompressionTypes.GZIP })
    for (const { partition, errorCode, baseOffset } of answers) {
      assert.strictEqual(errorCode, 0, 'produce error')
      assert.strictEqual(Number(baseOffset), from / PARTITIONS, `base offset in partition ${partition}`)
    }
  }
  await producer.disconnect()
  step('produced')
}

// A connection of the library's own, without a group.
async function brokerOf(name) {
  const symbol = Object.getOwnPropertySymbols(kafka).find(s => s.description === 'private:Kafka:createCluster')
  const cluster = kafka[symbol]({ allowAutoTopicCreation: false })
  await cluster.connect()
  await cluster.addTargetTopic(name)
  const leader = cluster.findTopicPartitionMetadata(name).find(p => p.partitionId === 0).leader
  return { cluster, broker: await cluster.findBroker({ nodeId: leader }) }
}

async function fetchFrom(broker, name, positions, maxBytes = 1048576) {
  const partitions = positions.map(([partition, fetchOffset]) => ({ partition, fetchOffset: String(fetchOffset), maxBytes }))
  const { responses } = await broker.fetch({ maxWaitTime: 1000, minBytes: 1, maxBytes: 10 * maxBytes, topics: [{ topic: name, partitions }] })
  return responses[0].partitions
}

function checkMessage(message, partition, offset) {
  const i = offset * PARTITIONS + partition
  const got = {
    offset: Number(message.offset), timestamp: Number(message.timestamp), key: text(message.key), value: text(message.value),
    headers: Object.entries(message.headers).map(([k, v]) => [k, text(v)]),
  }
  const want = { offset, timestamp: base + i, key: key(i), value: value(i), headers: Object.entries(headers(i)) }
  assert.deepStrictEqual(got, want, `record ${i}: ${JSON.stringify(got)}`)
}

async function read(broker) {
  const next = new Array(PARTITIONS).fill(0)
  const end = COUNT / PARTITIONS
  while (next.some(offset => offset < end)) {
    const wanted = next.map((offset, partition) => [partition, offset]).filter(([, offset]) => offset < end)
    for (const answer of await fetchFrom(broker, topic, wanted, 60000)) {
      assert.strictEqual(answer.errorCode, 0, 'fetch error')
      assert.strictEqual(Number(answer.highWatermark), end, 'high watermark')
      for (const message of answer.messages) {
        if (Number(message.offset) < next[answer.partition]) continue // a batch is sent whole
        checkMessage(message, answer.partition, next[answer.partition]++)
      }
    }
  }
  step('read')
}

async function timestamps(admin, broker) {
  const stamp = base + 4001
  const byTime = (await admin.fetchTopicOffsetsByTimestamp(topic, stamp)).sort((a, b) => a.partition - b.partition)
  const want = [...Array(PARTITIONS).keys()].map(p => ({ partition: p, offset: String(seekOffset(stamp, p)) }))
  assert.deepStrictEqual(byTime, want, 'offsets by time')
  const ends = (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition)
  ends.forEach((entry, partition) =>
    assert.deepStrictEqual(entry, { partition, offset: '2500', high: '2500', low: '0' }, 'watermarks'))
  const [answer] = await fetchFrom(broker, topic, [[0, Number(byTime[0].offset)]])
  const first = answer.messages.find(m => Number(m.offset) >= Number(byTime[0].offset))
  assert.strictEqual(Number(first.timestamp), base + 4004, 'first record after the seek')
  step('timestamps')
}

async function errors(admin) {
  const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 1 } })
  await producer.connect()
  const large = { topic, messages: [{ value: Buffer.alloc(2000000, 'x'), partition: 0 }] }
  await fails('MESSAGE_TOO_LARGE', () => producer.send(large), 'too large')
  step('too large')
  const absent = `${topic}-absent`
  const unknown = 'UNKNOWN_TOPIC_OR_PARTITION'
  await fails(unknown, () => producer.send({ topic: absent, messages: [{ value: 'x' }] }), 'produce')
  await fails(unknown, () => admin.deleteTopics({ topics: [absent] }), 'delete')
  await fails(unknown, () => admin.fetchTopicMetadata({ topics: [absent] }), 'metadata')
  await producer.disconnect()
  step('unknown topic')
}

async function main() {
  const admin = kafka.admin({ retry: { retries: 1 } })
  await admin.connect()
  await create(admin)
  await produce()
  const { cluster, broker } = await brokerOf(topic)
  await read(broker)
  await timestamps(admin, broker)
  await cluster.disconnect()
  await errors(admin)
  await admin.disconnect()
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
