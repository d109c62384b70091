"""Kafka's command-line tools for groups and transactions, as Kafka 4.2 ships them, each with its output checked."""

import datetime
import re
import subprocess
import time

from harness import check, install
from harness.places import INTEROP
from harness.toolshell import ToolShell

PARTITIONS, COUNT = 4, 400
GROUPS = "consumer.group.ConsumerGroupCommand"


def run(context):
    with ToolShell(context) as shell:
        Tools(context, shell).run()


class Tools:
    """One topic of 400 records, ten seconds of record time apart, and the groups that read it."""

    def __init__(self, context, shell):
        self.context, self.shell = context, shell
        self.topic, self.group = context.topic("group-tools"), context.topic("group-tools-group")
        self.base = int(time.time() * 1000) - 7_200_000
        context.python("prepare_groups.py", context.bootstrap, self.topic, f"{self.topic}-other", COUNT, self.base)

    def run(self):
        self.console_consumer()
        self.listed()
        self.described()
        self.resets()
        self.from_file()
        self.living()
        self.deletes()
        self.performance()
        self.features()
        self.transactions()

    def groups(self, *args, **named):
        return self.shell.tool(GROUPS, *args, **named)

    def rows(self, *args):
        """A table of the tool, as a list of dictionaries."""
        lines = [line for line in self.groups(*args).text.splitlines() if line.strip()]
        start = next((index for index, line in enumerate(lines) if line.startswith("GROUP")), None)
        check.that(start is not None, f"a table by {args}: {lines}")
        heads = lines[start].replace("CONSUMER-ID", "CONSUMER_ID").replace("COORDINATOR (ID)", "COORDINATOR ID_").split()
        return [dict(zip(heads, line.split())) for line in lines[start + 1:]]

    def offsets(self, *which):
        """Partition ▸ committed offset as --describe tells it."""
        rows = self.rows("--describe", "--group", self.group, *which)
        return {int(row["PARTITION"]): int(row["CURRENT-OFFSET"]) for row in rows if row["CURRENT-OFFSET"] != "-"}

    def console_consumer(self):
        """It reads as a member of a group, and another run goes on where it ended."""
        def consume(*args):
            out = self.shell.tool("consumer.ConsoleConsumer", "--topic", self.topic, "--group", self.group, "--timeout-ms", 6000,
                                  "--isolation-level", "read_committed", *args)
            return out.text.split()
        first = consume("--from-beginning", "--max-messages", COUNT)
        check.equal(sorted(first), sorted(f"in-{index}" for index in range(COUNT)), "values by the console consumer")
        self.shell.tool("ConsoleProducer", "--topic", self.topic, stdin="one more\n")
        check.equal(consume("--max-messages", 1), ["one", "more"], "value by the console consumer's second run")

    def listed(self):
        check.that(self.group in self.groups("--list").text.split(), "the group is listed")
        check.that([self.group, "Empty"] in [line.split() for line in self.groups("--list", "--state").text.splitlines()], "the group's state is listed")
        check.that([self.group, "Classic"] in [line.split() for line in self.groups("--list", "--type").text.splitlines()], "the group's type is listed")
        check.that(self.group in self.groups("--list", "--state", "empty").text, "the group is listed among the empty")
        check.that(self.group not in self.groups("--list", "--state", "stable").text, "the group is listed among the stable")
        check.that(self.group in self.groups("--list", "--type", "classic").text, "the group is listed among the classic")
        check.that(self.group not in self.groups("--list", "--type", "consumer").text, "the group is listed among the consumer groups")
        told = self.shell.tool("GroupsCommand", "--list", "--consumer").text
        check.that([self.group, "Classic", "consumer"] in [line.split() for line in told.splitlines()], "the group in kafka-groups")

    def described(self):
        rows = self.rows("--describe", "--group", self.group)
        check.equal(sorted(int(row["PARTITION"]) for row in rows), list(range(PARTITIONS)), "partitions described")
        check.equal([row["LAG"] for row in rows], ["0"] * PARTITIONS, "lags described")
        check.equal(sum(int(row["LOG-END-OFFSET"]) for row in rows), COUNT + 1, "log end offsets described")
        state = self.groups("--describe", "--group", self.group, "--state").text
        check.that(re.search(rf"{self.context.bootstrap}\s+\(\d+\)", state), f"the coordinator described: {state}")
        check.contains(state, "Empty", "the state described")
        check.that(any(row["GROUP"] == self.group for row in self.rows("--describe", "--all-groups")), "the group among all described")
        absent = self.groups("--describe", "--group", f"{self.group}-absent", ok=None)
        check.contains(absent.text + absent.errors, "GroupIdNotFoundException", "describe an unknown group")

    def reset(self, *how, part=None):
        """Dry run, then execution; both tell the same new offsets, and only the second changes them. Partition ▸ new offset."""
        args = ("--reset-offsets", "--group", self.group, "--topic", part or self.topic, *how)
        before = self.offsets()
        def told(last):
            return {int(row["PARTITION"]): int(row["NEW-OFFSET"]) for row in self.rows(*args, last)}
        dry = told("--dry-run")
        check.equal(self.offsets(), before, f"offsets after a dry run of {how}")
        check.equal(told("--execute"), dry, f"offsets of {how}, executed")
        check.equal(self.offsets(), {**before, **dry}, f"offsets described after {how}")
        return dry

    def resets(self):
        """Every way to say where to."""
        ends = {partition: COUNT // PARTITIONS for partition in range(PARTITIONS)}
        latest = self.reset("--to-latest")
        check.equal(sum(latest.values()), COUNT + 1, "to the latest")
        check.equal(self.reset("--to-earliest"), {partition: 0 for partition in ends}, "to the earliest")
        check.equal(self.reset("--to-offset", 42), {partition: 42 for partition in ends}, "to an offset")
        check.equal(self.reset("--to-offset", 5000), latest, "to an offset beyond the end")
        check.equal(self.reset("--shift-by", -30), {partition: end - 30 for partition, end in latest.items()}, "shifted back")
        check.equal(self.reset("--shift-by", 10), {partition: end - 20 for partition, end in latest.items()}, "shifted on")
        check.equal(self.reset("--to-offset", 7, part=f"{self.topic}:0,2"), {0: 7, 2: 7}, "two partitions to an offset")
        moment = datetime.datetime.fromtimestamp((self.base + 2_000_000) / 1000, datetime.timezone.utc)
        check.equal(self.reset("--to-datetime", moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}"),
                    {partition: 50 for partition in ends}, "to a time")
        ago = int(time.time()) - (self.base + 1_005_000) // 1000
        check.equal(self.reset("--by-duration", f"PT{ago}S"), {0: 26, 1: 25, 2: 25, 3: 25}, "by a duration")
        check.equal(self.reset("--to-current"), {0: 26, 1: 25, 2: 25, 3: 25}, "to the current")
        unknown = self.groups("--reset-offsets", "--group", self.group, "--topic", f"{self.topic}-absent", "--to-earliest", "--execute", ok=None)
        check.contains(unknown.text + unknown.errors, "UnknownTopicOrPartitionException", "reset in an unknown topic")

    def from_file(self):
        """Exported, changed, and read again from the file; all topics of the group at once."""
        exported = self.groups("--reset-offsets", "--group", self.group, "--all-topics", "--to-current", "--dry-run", "--export").text
        lines = sorted(line.strip() for line in exported.splitlines() if line.startswith((self.topic, f'"{self.topic}')))
        check.equal([line.replace('"', "").split(",")[-2:] for line in lines], [["0", "26"], ["1", "25"], ["2", "25"], ["3", "25"]], "offsets exported")
        file = self.context.work / "offsets.csv"
        file.write_text(f"{self.topic},1,11\n{self.topic},3,13\n")
        check.equal({int(row["PARTITION"]): int(row["NEW-OFFSET"]) for row in self.rows("--reset-offsets", "--group", self.group, "--from-file", file, "--execute")},
                    {1: 11, 3: 13}, "offsets from a file")
        check.equal(self.offsets(), {0: 26, 1: 11, 2: 25, 3: 13}, "offsets after those from a file")

    def living(self):
        """With a member in the group: its parts are told, and its offsets are nobody else's."""
        member = subprocess.Popen(["kcat", "-b", self.context.bootstrap, "-G", self.group, "-q", "-u", "-X", "client.id=living", "-X", "auto.commit.interval.ms=200",
                                   "-X", "auto.offset.reset=earliest", self.topic], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def lags():
                rows = self.rows("--describe", "--group", self.group)
                return len(rows) == PARTITIONS and all(row["LAG"] == "0" for row in rows) and rows
            rows = check.eventually(lags, "the member has read all", 20, 0.3)
            check.that(all(row["CLIENT-ID"] == "living" and row["HOST"] == "/127.0.0.1" for row in rows), f"the member of each partition: {rows}")
            members = self.groups("--describe", "--group", self.group, "--members", "--verbose").text
            check.that(re.search(rf"{self.group}\s+living-\S+\s+/127\.0\.0\.1\s+living\s+4\s.*{self.topic}", members), f"the member: {members}")
            check.contains(self.groups("--describe", "--group", self.group, "--state").text, "Stable", "the state with a member")
            held = self.groups("--reset-offsets", "--group", self.group, "--topic", self.topic, "--to-earliest", "--execute", ok=None)
            check.contains(held.text + held.errors, "can only be reset if the group", "reset of a living group")
            kept = self.groups("--delete", "--group", self.group, ok=None)
            check.contains(kept.text + kept.errors, "GroupNotEmptyException", "delete of a living group")
        finally:
            member.terminate()
            member.wait(20)
        check.eventually(lambda: "Empty" in self.groups("--describe", "--group", self.group, "--state").text, "the group is empty again", 20, 0.3)

    def deletes(self):
        gone = self.groups("--delete-offsets", "--group", self.group, "--topic", f"{self.topic}:1")
        check.contains(gone.text, "Successful", "delete of offsets")
        check.equal(sorted(self.offsets()), [0, 2, 3], "partitions with offsets after deleting one")
        check.contains(self.groups("--delete", "--group", self.group).text, "was successful", "delete of the group")
        check.that(self.group not in self.groups("--list").text.split(), "the group is gone from the list")
        unknown = self.groups("--delete", "--group", self.group, ok=None)
        check.contains(unknown.text + unknown.errors, "GroupIdNotFoundException", "delete of a group that is gone")

    def performance(self):
        """kafka-consumer-perf-test as a member of a group."""
        told = self.shell.tool("ConsumerPerformance", "--topic", self.topic, "--num-records", COUNT, "--group", f"{self.group}-perf", "--timeout", 20_000).text
        figures = [float(part) for part in re.split(r",\s*", told.strip().splitlines()[-1])[2:6]]
        check.that(figures[2] >= COUNT, f"records of the performance test: {told}")

    def features(self):
        told = self.shell.tool("FeatureCommand", "describe").text
        for name, level in (("transaction.version", 2), ("group.version", 1)):
            check.that(re.search(rf"Feature: {name}\s.*FinalizedVersionLevel: {level}\s", told), f"{name} is finalized at {level}: {told[:600]}")

    def transactions(self):
        """kafka-transactions: list, describe, producers, abort, hanging ones, forced end."""
        def command(*args, **named):
            return self.shell.tool("TransactionsCommand", *args, **named)
        name = f"{self.topic}-txn"
        with subprocess.Popen([str(install.PYTHON), "-B", str(INTEROP / "python/open_transaction.py"), self.context.bootstrap, self.topic, name],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            try:
                check.equal(holder.stdout.readline().strip(), b"open", "the transaction is open")
                listed = [line.split() for line in command("list").text.splitlines()]
                mine = next((line for line in listed if line and line[0] == name), None)
                check.that(mine is not None and mine[3] == "Ongoing", f"the transaction in the list: {mine}")
                check.that(name in command("list", "--duration-filter", 1).text, "the transaction among those older than a millisecond")
                check.that(name not in command("list", "--duration-filter", 3_600_000).text, "the transaction among those older than an hour")
                described = command("describe", "--transactional-id", name).text
                check.that(re.search(rf"{mine[2]}\s+\d+\s+Ongoing\s+60000\s.*{self.topic}-0", described), f"the transaction described: {described}")
                producers = command("describe-producers", "--topic", self.topic, "--partition", 0).text
                row = next((line.split() for line in producers.splitlines() if line.split()[:1] == [mine[2]]), None)
                check.that(row is not None and row[-1].isdigit(), f"its producer with the transaction's start: {producers}")
                hanging = command("find-hanging", "--topic", self.topic).text
                check.that(mine[2] not in hanging, "an open transaction does not hang")
                command("abort", "--topic", self.topic, "--partition", 0, "--start-offset", row[-1])
                after = command("describe-producers", "--topic", self.topic, "--partition", 0).text
                check.that(f"{mine[2]}" in after and not any(line.split()[:1] == [mine[2]] and line.split()[-1].isdigit() for line in after.splitlines()),
                           f"no transaction at the partition after the abort: {after}")
                command("forceTerminateTransaction", "--transactionalId", name)
                states = [line.split() for line in command("list").text.splitlines()]
                check.that(any(line and line[0] == name and line[3] == "Empty" for line in states), f"the transaction is over: {states}")
            finally:
                holder.kill()
