// KafkaJS: the steps of scenarios/group_clients.py.
'use strict'

const assert = require('assert')
const { Kafka, logLevel } = require('kafkajs')

const [bootstrap, source, out, group] = process.argv.slice(2)
const FIRST = 1000
const MORE = 40
const PARTITIONS = 4
const kafka = new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 10 } })

const step = name => console.log(`ok: ${name}`)
const end = Date.now() + 60000

async function until(ready, what) {
  while (!ready()) {
    assert.ok(Date.now() < end, `in time: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

// A member that commits what it read; `values` gathers what all members of one step read, each once.
async function member(name, topic, values) {
  const consumer = kafka.consumer({ groupId: name, heartbeatInterval: 200, maxWaitTimeInMs: 100, readUncommitted: false })
  const one = { consumer, share: 0 }
  consumer.on(consumer.events.GROUP_JOIN, event => { one.share = (event.payload.memberAssignment[topic] || []).length })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const value = message.value.toString()
      assert.ok(!values.has(value), `${value} is read once`)
      values.add(value)
    },
  })
  return one
}

async function inGroup() {
  const values = new Set()
  const one = await member(group, source, values)
  await until(() => values.size === FIRST, 'all is read')
  await one.consumer.disconnect() // commits what was read
  step('group')
}

async function shared() {
  const values = new Set()
  const members = [await member(group, source, values), await member(group, source, values)]
  await until(() => members.every(one => one.share === 2), 'both have a share')
  const producer = kafka.producer()
  await producer.connect()
  const messages = [...Array(MORE).keys()].map(i => ({ value: `more-${i}`, partition: i % PARTITIONS }))
  await producer.send({ topic: source, messages })
  await producer.disconnect()
  await until(() => values.size >= MORE, 'the second part is read')
  assert.ok([...values].every(value => value.startsWith('more-')), 'nothing is read twice')
  for (const one of members) await one.consumer.disconnect()
  step('shared')
}

// A batch whose transaction was aborted is sent again in another.
async function transactions() {
  const producer = kafka.producer({ transactionalId: `${group}-tx`, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const consumer = kafka.consumer({ groupId: `${group}-tx`, heartbeatInterval: 200, maxWaitTimeInMs: 100, maxBytesPerPartition: 4000 })
  await consumer.connect()
  await consumer.subscribe({ topics: [source], fromBeginning: true })
  let attempt = 0
  let done = 0
  let lock = Promise.resolve()
  const processed = async ({ batch: { partition, messages } }) => {
    for (let committed = false; !committed; attempt++) {
      const transaction = await producer.transaction()
      await transaction.send({ topic: out, messages: messages.map(m => ({ value: `out-${m.value}`, partition })) })
      const offset = String(Number(messages[messages.length - 1].offset) + 1)
      await transaction.sendOffsets({ consumerGroupId: `${group}-tx`, topics: [{ topic: source, partitions: [{ partition, offset }] }] })
      committed = attempt % 3 !== 0
      await (committed ? transaction.commit() : transaction.abort())
    }
    done += messages.length
  }
  await consumer.run({
    autoCommit: false,
    eachBatch: batch => {
      lock = lock.then(() => processed(batch))
      return lock
    },
  })
  await until(() => done === FIRST + MORE, 'all is processed')
  await consumer.disconnect()
  await producer.disconnect()
  step('transactions')
}

async function readCommitted() {
  const values = new Set()
  const reader = await member(`${group}-read`, out, values)
  await until(() => values.size === FIRST + MORE, 'the output is read')
  assert.ok([...values].every(value => value.startsWith('out-')), 'values of the output')
  await reader.consumer.disconnect()
  step('read committed')
}

async function fenced() {
  const begun = async value => {
    const producer = kafka.producer({ transactionalId: `${group}-fenced`, idempotent: true, maxInFlightRequests: 1, retry: { retries: 2 } })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic: out, messages: [{ value, partition: 0 }] })
    return { producer, transaction }
  }
  const old = await begun('never')
  const young = await begun('nothing')
  const error = await old.transaction.commit().then(() => null, failure => failure)
  assert.ok(error && /epoch|newer producer/i.test(error.message), `commit of the older producer: ${error}`)
  await young.transaction.abort()
  await young.producer.disconnect()
  await old.producer.disconnect()
  step('fenced')
}

async function main() {
  for (const part of [inGroup, shared, transactions, readCommitted, fenced]) await part()
  process.exit(0)
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
