import java.util.List;
import org.apache.kafka.common.message.DeleteGroupsRequestData;
import org.apache.kafka.common.message.DescribeGroupsRequestData;
import org.apache.kafka.common.message.FindCoordinatorRequestData;
import org.apache.kafka.common.message.HeartbeatRequestData;
import org.apache.kafka.common.message.JoinGroupRequestData;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupResponseData;
import org.apache.kafka.common.message.LeaveGroupRequestData;
import org.apache.kafka.common.message.LeaveGroupRequestData.MemberIdentity;
import org.apache.kafka.common.message.ListGroupsRequestData;
import org.apache.kafka.common.message.SyncGroupRequestData;
import org.apache.kafka.common.message.SyncGroupRequestData.SyncGroupRequestAssignment;

/** Classic groups, one member at a time: coordinators, joining, syncing, heartbeats, leaving, describing, listing, deleting. */
final class ProbeGroups {
    static final int JOIN = 9;
    private final Probe probe;

    ProbeGroups(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        coordinators();
        refusedJoins();
        life();
        statics();
        oldVersions();
    }

    private void coordinators() throws Exception {
        for (int kind = 0; kind <= 1; kind++) {
            String what = kind == 0 ? "group" : "transaction";
            var alone = new FindCoordinatorRequestData().setKey(probe.topic("c")).setKeyType((byte) kind);
            var batch = new FindCoordinatorRequestData().setKeyType((byte) kind).setCoordinatorKeys(List.of(probe.topic("c"), probe.topic("d"), probe.topic("c")));
            for (int version = kind; version <= 3; version++) probe.askSettled("coordinator: " + what + " v" + version, alone, version);
            for (int version = 4; version <= 6; version++) probe.askSettled("coordinator: " + what + ", three keys v" + version, batch, version);
            probe.ask("coordinator: " + what + ", empty key", new FindCoordinatorRequestData().setKeyType((byte) kind).setCoordinatorKeys(List.of("")), 6);
        }
        probe.ask("coordinator: no keys", new FindCoordinatorRequestData().setKeyType((byte) 0), 6);
        probe.ask("coordinator: of kind 9, alone", new FindCoordinatorRequestData().setKeyType((byte) 9).setKey("x"), 3);
    }

    static JoinGroupRequestData join(String group, String member) {
        var protocols = new JoinGroupRequestData.JoinGroupRequestProtocolCollection();
        protocols.add(new JoinGroupRequestProtocol().setName("range").setMetadata(new byte[] {1, 2, 3}));
        protocols.add(new JoinGroupRequestProtocol().setName("other").setMetadata(new byte[] {4}));
        return new JoinGroupRequestData().setGroupId(group).setMemberId(member).setSessionTimeoutMs(30_000).setRebalanceTimeoutMs(30_000)
            .setProtocolType("consumer").setProtocols(protocols);
    }

    private void refusedJoins() throws Exception {
        String group = probe.topic("refused");
        probe.ask("join: empty group", join("", ""), JOIN);
        probe.ask("join: session too short", join(group, "").setSessionTimeoutMs(1), JOIN);
        probe.ask("join: session too long", join(group, "").setSessionTimeoutMs(Integer.MAX_VALUE), JOIN);
        probe.ask("join: unknown member, new group", join(group, "stranger"), JOIN);
        probe.ask("join: no protocols", join(group, "").setProtocols(new JoinGroupRequestData.JoinGroupRequestProtocolCollection()), JOIN);
        probe.ask("join: no protocol type", join(group, "").setProtocolType(""), JOIN);
        probe.ask("join: instance id of 300 characters", join(group + "-long", "").setGroupInstanceId("x".repeat(300)), JOIN);
        probe.ask("join: empty instance id", join(group + "-empty", "").setGroupInstanceId(""), JOIN);
        probe.ask("join: a member id is required", join(group, ""), JOIN);
    }

    private SyncGroupRequestData sync(String group, String member, int generation) {
        return new SyncGroupRequestData().setGroupId(group).setMemberId(member).setGenerationId(generation).setProtocolType("consumer").setProtocolName("range");
    }

    private HeartbeatRequestData beat(String group, String member, int generation) {
        return new HeartbeatRequestData().setGroupId(group).setMemberId(member).setGenerationId(generation);
    }

    /** A member that stays in the group; its id. */
    static String joined(Probe probe, String name, String group) throws Exception {
        var first = (JoinGroupResponseData) probe.settle(join(group, ""), JOIN);
        return ((JoinGroupResponseData) probe.ask(name, join(group, first.memberId()), JOIN)).memberId();
    }

    /** One member from its first to its last request. */
    private void life() throws Exception {
        String group = probe.topic("life");
        String member = joined(probe, "join: with the id given", group);
        probe.ask("beat: before the assignment", beat(group, member, 1), 4);
        probe.ask("describe: before the assignment", new DescribeGroupsRequestData().setGroups(List.of(group)), 6);
        probe.ask("sync: generation 7", sync(group, member, 7), 5);
        probe.ask("sync: unknown member", sync(group, "stranger", 1), 5);
        probe.ask("sync: another protocol", sync(group, member, 1).setProtocolName("other"), 5);
        probe.ask("sync: another protocol type", sync(group, member, 1).setProtocolType("connect"), 5);
        probe.ask("sync: unknown group", sync(probe.topic("nobody"), member, 1), 5);
        probe.ask("sync: empty group", sync("", member, 1), 5);
        var assignment = new SyncGroupRequestAssignment().setMemberId(member).setAssignment(new byte[] {9, 9});
        probe.ask("sync: the leader", sync(group, member, 1).setAssignments(List.of(assignment)), 5);
        probe.ask("sync: again", sync(group, member, 1), 5);
        probe.sweep("sync: all versions", sync(group, member, 1));
        probe.sweep("beat: all versions", beat(group, member, 1));
        probe.ask("beat: generation 7", beat(group, member, 7), 4);
        probe.ask("beat: unknown member", beat(group, "stranger", 1), 4);
        probe.ask("beat: unknown group", beat(probe.topic("nobody"), member, 1), 4);
        probe.ask("beat: empty group", beat("", member, 1), 4);
        probe.ask("join: unknown member, living group", join(group, "stranger"), JOIN);
        probe.ask("join: another protocol type", join(group, "").setProtocolType("connect"), JOIN);
        var strange = new JoinGroupRequestData.JoinGroupRequestProtocolCollection();
        strange.add(new JoinGroupRequestProtocol().setName("strange").setMetadata(new byte[0]));
        probe.ask("join: no protocol in common", join(group, "").setProtocols(strange), JOIN);
        probe.ask("join: the leader joins again", join(group, member), JOIN);
        probe.ask("beat: of the generation before", beat(group, member, 1), 4);
        probe.ask("sync: the leader, generation 2", sync(group, member, 2).setAssignments(List.of(assignment)), 5);
        describedAndListed(group);
        probe.ask("delete groups: living", new DeleteGroupsRequestData().setGroupsNames(List.of(group)), 2);
        leaves(group, member);
        probe.ask("describe: empty", new DescribeGroupsRequestData().setGroups(List.of(group)), 6);
        probe.ask("list: empty", new ListGroupsRequestData().setStatesFilter(List.of("empty")), 5);
        probe.ask("join: unknown member, empty group", join(group, "stranger"), JOIN);
        probe.ask("delete groups: empty, unknown, no name, twice", new DeleteGroupsRequestData().setGroupsNames(List.of(group, probe.topic("nobody"), "", group)), 2);
        probe.sweep("delete groups: all versions", new DeleteGroupsRequestData().setGroupsNames(List.of(group)));
        probe.ask("describe: deleted", new DescribeGroupsRequestData().setGroups(List.of(group)), 6);
    }

    private void describedAndListed(String group) throws Exception {
        probe.sweep("describe: all versions", new DescribeGroupsRequestData().setGroups(List.of(group)));
        probe.ask("describe: with operations", new DescribeGroupsRequestData().setGroups(List.of(group)).setIncludeAuthorizedOperations(true), 6);
        for (int version = 5; version <= 6; version++) {
            probe.ask("describe: unknown and no name v" + version, new DescribeGroupsRequestData().setGroups(List.of(probe.topic("nobody"), "")), version);
        }
        probe.sweep("list: all versions", new ListGroupsRequestData());
        probe.ask("list: by state", new ListGroupsRequestData().setStatesFilter(List.of("Stable")), 5);
        probe.ask("list: by state in small letters", new ListGroupsRequestData().setStatesFilter(List.of("stable")), 5);
        probe.ask("list: by an unknown state", new ListGroupsRequestData().setStatesFilter(List.of("Happy")), 5);
        probe.ask("list: by type", new ListGroupsRequestData().setTypesFilter(List.of("Classic")), 5);
        probe.ask("list: by another type", new ListGroupsRequestData().setTypesFilter(List.of("consumer")), 5);
        probe.ask("list: by an unknown type", new ListGroupsRequestData().setTypesFilter(List.of("happy")), 5);
    }

    private void leaves(String group, String member) throws Exception {
        var stranger = new MemberIdentity().setMemberId("stranger");
        probe.ask("leave: unknown member", new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(stranger)), 5);
        probe.ask("leave: unknown member v2", new LeaveGroupRequestData().setGroupId(group).setMemberId("stranger"), 2);
        probe.ask("leave: unknown instance", new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(
            new MemberIdentity().setMemberId("").setGroupInstanceId("nobody"))), 5);
        probe.ask("leave: unknown group", new LeaveGroupRequestData().setGroupId(probe.topic("nobody")).setMembers(List.of(stranger)), 5);
        probe.ask("leave: empty group", new LeaveGroupRequestData().setGroupId("").setMembers(List.of(stranger)), 5);
        probe.ask("leave: nobody", new LeaveGroupRequestData().setGroupId(group), 5);
        probe.ask("leave: one of two", new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(stranger, new MemberIdentity().setMemberId(member).setReason("done"))), 5);
    }

    /** A static member and its second life. */
    private void statics() throws Exception {
        String group = probe.topic("static");
        var mine = join(group, "").setGroupInstanceId("i");
        String first = ((JoinGroupResponseData) probe.ask("static: join", mine, JOIN)).memberId();
        probe.ask("static: sync", sync(group, first, 1).setGroupInstanceId("i").setAssignments(List.of(
            new SyncGroupRequestAssignment().setMemberId(first).setAssignment(new byte[] {5}))), 5);
        probe.ask("static: beat", beat(group, first, 1).setGroupInstanceId("i"), 4);
        String second = ((JoinGroupResponseData) probe.ask("static: join again", mine, JOIN)).memberId();
        Check.that(!first.equals(second), "the second life has an id of its own");
        probe.ask("static: sync of the second life", sync(group, second, 1).setGroupInstanceId("i"), 5);
        probe.ask("static: beat of the first life", beat(group, first, 1).setGroupInstanceId("i"), 4);
        probe.ask("static: beat of the first life, without the instance", beat(group, first, 1), 4);
        probe.ask("static: join of the first life", join(group, first).setGroupInstanceId("i"), JOIN);
        probe.ask("static: beat under another instance", beat(group, second, 1).setGroupInstanceId("j"), 4);
        probe.ask("static: describe", new DescribeGroupsRequestData().setGroups(List.of(group)), 6);
        probe.ask("static: leave with the first life's id", new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(
            new MemberIdentity().setMemberId(first).setGroupInstanceId("i"))), 5);
        probe.ask("static: leave by instance", new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(
            new MemberIdentity().setMemberId("").setGroupInstanceId("i"))), 5);
        probe.ask("static: join after leaving", join(group, second).setGroupInstanceId("i"), JOIN);
    }

    /** Joining in every version, each in a group of its own. */
    private void oldVersions() throws Exception {
        for (int version = 2; version <= JOIN; version++) {
            String group = probe.topic("join" + version);
            var answer = (JoinGroupResponseData) probe.ask("join: first v" + version, join(group, ""), version);
            if (version >= 4) answer = (JoinGroupResponseData) probe.ask("join: second v" + version, join(group, answer.memberId()), version);
            var leaving = version < 3 ? new LeaveGroupRequestData().setGroupId(group).setMemberId(answer.memberId())
                : new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(new MemberIdentity().setMemberId(answer.memberId())));
            probe.ask("leave: after join v" + version, leaving, Math.min(version, 5));
        }
    }
}
