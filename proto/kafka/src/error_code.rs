//! Kafka's error codes, all of Kafka 4.2's, in one place.
//!
//! Whether a code is retriable is Kafka's own judgement (that of its Java client): the same request may
//! succeed later, perhaps on another broker or after new metadata. The messages are ours.

use std::fmt;

macro_rules! retriable {
    (retriable) => {
        true
    };
    (final) => {
        false
    };
}

macro_rules! error_codes {
    ($($code:literal, $variant:ident, $name:literal, $kind:tt, $message:literal;)*) => {
        /// An error code of Kafka's protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", $name, "` (", stringify!($code), "): ", $message, ".")]
                $variant = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, in the order of numbers.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The error with this number, if Kafka 4.2 has it.
            pub fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(ErrorCode::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's name, such as `OFFSET_OUT_OF_RANGE`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $name,)*
                }
            }

            /// Whether the same request may succeed later.
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(ErrorCode::$variant => retriable!($kind),)*
                }
            }

            /// What is wrong, in a few words, for logs and for the `error_message` of answers.
            pub const fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $message,)*
                }
            }
        }
    };
}

error_codes! {
     -1, UnknownServerError, "UNKNOWN_SERVER_ERROR", final, "the server met an error that it did not expect";
      0, None, "NONE", final, "no error";
      1, OffsetOutOfRange, "OFFSET_OUT_OF_RANGE", final, "the offset lies outside of what the partition holds";
      2, CorruptMessage, "CORRUPT_MESSAGE", retriable, "a record batch is damaged: wrong checksum, wrong size, or without a key where one is needed";
      3, UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "no such topic or partition here";
      4, InvalidFetchSize, "INVALID_FETCH_SIZE", final, "the fetch size is not valid";
      5, LeaderNotAvailable, "LEADER_NOT_AVAILABLE", retriable, "the partition has no leader at the moment";
      6, NotLeaderOrFollower, "NOT_LEADER_OR_FOLLOWER", retriable, "this broker neither leads nor follows the partition";
      7, RequestTimedOut, "REQUEST_TIMED_OUT", retriable, "the request was not done in its time";
      8, BrokerNotAvailable, "BROKER_NOT_AVAILABLE", final, "the broker can't be reached";
      9, ReplicaNotAvailable, "REPLICA_NOT_AVAILABLE", retriable, "the replica can't be reached";
     10, MessageTooLarge, "MESSAGE_TOO_LARGE", final, "the request holds a message larger than allowed";
     11, StaleControllerEpoch, "STALE_CONTROLLER_EPOCH", final, "the controller has moved to another broker";
     12, OffsetMetadataTooLarge, "OFFSET_METADATA_TOO_LARGE", final, "the metadata of a committed offset is too long";
     13, NetworkException, "NETWORK_EXCEPTION", retriable, "the connection broke before the answer came";
     14, CoordinatorLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "the coordinator is still loading";
     15, CoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE", retriable, "there is no coordinator at the moment";
     16, NotCoordinator, "NOT_COORDINATOR", retriable, "this broker is not the coordinator";
     17, InvalidTopicException, "INVALID_TOPIC_EXCEPTION", final, "the topic's name or the operation on this topic is not valid";
     18, RecordListTooLarge, "RECORD_LIST_TOO_LARGE", final, "the batch is larger than a segment";
     19, NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", retriable, "too few replicas are in sync";
     20, NotEnoughReplicasAfterAppend, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "the records were written, but to fewer replicas than required";
     21, InvalidRequiredAcks, "INVALID_REQUIRED_ACKS", final, "acks must be -1, 0 or 1";
     22, IllegalGeneration, "ILLEGAL_GENERATION", final, "the group has another generation";
     23, InconsistentGroupProtocol, "INCONSISTENT_GROUP_PROTOCOL", final, "the member's protocols do not fit those of its group";
     24, InvalidGroupId, "INVALID_GROUP_ID", final, "the group id is not valid";
     25, UnknownMemberId, "UNKNOWN_MEMBER_ID", final, "the coordinator does not know this member";
     26, InvalidSessionTimeout, "INVALID_SESSION_TIMEOUT", final, "the session timeout is outside of the allowed range";
     27, RebalanceInProgress, "REBALANCE_IN_PROGRESS", final, "the group is rebalancing; join again";
     28, InvalidCommitOffsetSize, "INVALID_COMMIT_OFFSET_SIZE", final, "the committed offsets are too large";
     29, TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", final, "not authorized for the topic";
     30, GroupAuthorizationFailed, "GROUP_AUTHORIZATION_FAILED", final, "not authorized for the group";
     31, ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", final, "not authorized for the cluster";
     32, InvalidTimestamp, "INVALID_TIMESTAMP", final, "the record's timestamp is out of range";
     33, UnsupportedSaslMechanism, "UNSUPPORTED_SASL_MECHANISM", final, "the SASL mechanism is not offered";
     34, IllegalSaslState, "ILLEGAL_SASL_STATE", final, "the request does not fit the state of the SASL exchange";
     35, UnsupportedVersion, "UNSUPPORTED_VERSION", final, "the API has no such version here";
     36, TopicAlreadyExists, "TOPIC_ALREADY_EXISTS", final, "the topic exists already";
     37, InvalidPartitions, "INVALID_PARTITIONS", final, "the number of partitions is not valid";
     38, InvalidReplicationFactor, "INVALID_REPLICATION_FACTOR", final, "the replication factor is not valid";
     39, InvalidReplicaAssignment, "INVALID_REPLICA_ASSIGNMENT", final, "the replica assignment is not valid";
     40, InvalidConfig, "INVALID_CONFIG", final, "the configuration is not valid";
     41, NotController, "NOT_CONTROLLER", retriable, "this broker is not the controller";
     42, InvalidRequest, "INVALID_REQUEST", final, "the request is malformed or contradicts itself";
     43, UnsupportedForMessageFormat, "UNSUPPORTED_FOR_MESSAGE_FORMAT", final, "the message format does not allow the request";
     44, PolicyViolation, "POLICY_VIOLATION", final, "the request breaks a policy of the cluster";
     45, OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", final, "the sequence number is out of order";
     46, DuplicateSequenceNumber, "DUPLICATE_SEQUENCE_NUMBER", final, "the sequence number was seen before";
     47, InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", final, "the producer's epoch is old";
     48, InvalidTxnState, "INVALID_TXN_STATE", final, "the transaction's state does not allow this";
     49, InvalidProducerIdMapping, "INVALID_PRODUCER_ID_MAPPING", final, "the producer id does not belong to the transactional id";
     50, InvalidTransactionTimeout, "INVALID_TRANSACTION_TIMEOUT", final, "the transaction timeout is longer than allowed";
     51, ConcurrentTransactions, "CONCURRENT_TRANSACTIONS", retriable, "another operation on this transaction is under way";
     52, TransactionCoordinatorFenced, "TRANSACTION_COORDINATOR_FENCED", final, "the transaction coordinator is no longer in charge of this producer";
     53, TransactionalIdAuthorizationFailed, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "not authorized for the transactional id";
     54, SecurityDisabled, "SECURITY_DISABLED", final, "security is not enabled";
     55, OperationNotAttempted, "OPERATION_NOT_ATTEMPTED", final, "the operation was not tried";
     56, KafkaStorageError, "KAFKA_STORAGE_ERROR", retriable, "the storage failed";
     57, LogDirNotFound, "LOG_DIR_NOT_FOUND", final, "no such log directory";
     58, SaslAuthenticationFailed, "SASL_AUTHENTICATION_FAILED", final, "authentication failed";
     59, UnknownProducerId, "UNKNOWN_PRODUCER_ID", final, "the partition knows nothing of this producer id";
     60, ReassignmentInProgress, "REASSIGNMENT_IN_PROGRESS", final, "the partition is being reassigned";
     61, DelegationTokenAuthDisabled, "DELEGATION_TOKEN_AUTH_DISABLED", final, "delegation tokens are not enabled";
     62, DelegationTokenNotFound, "DELEGATION_TOKEN_NOT_FOUND", final, "no such delegation token";
     63, DelegationTokenOwnerMismatch, "DELEGATION_TOKEN_OWNER_MISMATCH", final, "the principal neither owns nor may renew the token";
     64, DelegationTokenRequestNotAllowed, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", final, "delegation tokens can't be requested over this connection";
     65, DelegationTokenAuthorizationFailed, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "not authorized for the delegation token";
     66, DelegationTokenExpired, "DELEGATION_TOKEN_EXPIRED", final, "the delegation token has expired";
     67, InvalidPrincipalType, "INVALID_PRINCIPAL_TYPE", final, "the type of principal is not supported";
     68, NonEmptyGroup, "NON_EMPTY_GROUP", final, "the group has members";
     69, GroupIdNotFound, "GROUP_ID_NOT_FOUND", final, "no such group";
     70, FetchSessionIdNotFound, "FETCH_SESSION_ID_NOT_FOUND", retriable, "no such fetch session";
     71, InvalidFetchSessionEpoch, "INVALID_FETCH_SESSION_EPOCH", retriable, "the fetch session has another epoch";
     72, ListenerNotFound, "LISTENER_NOT_FOUND", retriable, "the leader has no listener of this name";
     73, TopicDeletionDisabled, "TOPIC_DELETION_DISABLED", final, "topics can't be deleted here";
     74, FencedLeaderEpoch, "FENCED_LEADER_EPOCH", retriable, "the leader epoch is older than the broker's";
     75, UnknownLeaderEpoch, "UNKNOWN_LEADER_EPOCH", retriable, "the leader epoch is newer than the broker's";
     76, UnsupportedCompressionType, "UNSUPPORTED_COMPRESSION_TYPE", final, "the client can't read the partition's compression";
     77, StaleBrokerEpoch, "STALE_BROKER_EPOCH", final, "the broker has another epoch";
     78, OffsetNotAvailable, "OFFSET_NOT_AVAILABLE", retriable, "the offset is not settled yet after a change of leader";
     79, MemberIdRequired, "MEMBER_ID_REQUIRED", final, "join again with the member id in this answer";
     80, PreferredLeaderNotAvailable, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "the preferred leader is not available";
     81, GroupMaxSizeReached, "GROUP_MAX_SIZE_REACHED", final, "the group is full";
     82, FencedInstanceId, "FENCED_INSTANCE_ID", final, "another consumer has taken this group instance id";
     83, EligibleLeadersNotAvailable, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no replica may become leader";
     84, ElectionNotNeeded, "ELECTION_NOT_NEEDED", retriable, "the partition needs no election";
     85, NoReassignmentInProgress, "NO_REASSIGNMENT_IN_PROGRESS", final, "the partition is not being reassigned";
     86, GroupSubscribedToTopic, "GROUP_SUBSCRIBED_TO_TOPIC", final, "the group is subscribed to the topic";
     87, InvalidRecord, "INVALID_RECORD", final, "a record is not valid";
     88, UnstableOffsetCommit, "UNSTABLE_OFFSET_COMMIT", retriable, "an open transaction holds offsets of this partition";
     89, ThrottlingQuotaExceeded, "THROTTLING_QUOTA_EXCEEDED", retriable, "the quota is used up for now";
     90, ProducerFenced, "PRODUCER_FENCED", final, "a newer producer has taken over the transactional id";
     91, ResourceNotFound, "RESOURCE_NOT_FOUND", final, "no such resource";
     92, DuplicateResource, "DUPLICATE_RESOURCE", final, "the resource is named twice";
     93, UnacceptableCredential, "UNACCEPTABLE_CREDENTIAL", final, "the credential is not good enough";
     94, InconsistentVoterSet, "INCONSISTENT_VOTER_SET", final, "the sender or receiver is no voter";
     95, InvalidUpdateVersion, "INVALID_UPDATE_VERSION", final, "the version of the update is not valid";
     96, FeatureUpdateFailed, "FEATURE_UPDATE_FAILED", final, "the features could not be updated";
     97, PrincipalDeserializationFailure, "PRINCIPAL_DESERIALIZATION_FAILURE", final, "the forwarded principal could not be read";
     98, SnapshotNotFound, "SNAPSHOT_NOT_FOUND", final, "no such snapshot";
     99, PositionOutOfRange, "POSITION_OUT_OF_RANGE", final, "the position lies outside of the snapshot";
    100, UnknownTopicId, "UNKNOWN_TOPIC_ID", retriable, "no topic with this id here";
    101, DuplicateBrokerRegistration, "DUPLICATE_BROKER_REGISTRATION", final, "the broker id is taken";
    102, BrokerIdNotRegistered, "BROKER_ID_NOT_REGISTERED", final, "the broker id is not registered";
    103, InconsistentTopicId, "INCONSISTENT_TOPIC_ID", retriable, "the log belongs to another topic id";
    104, InconsistentClusterId, "INCONSISTENT_CLUSTER_ID", final, "the request names another cluster";
    105, TransactionalIdNotFound, "TRANSACTIONAL_ID_NOT_FOUND", final, "no such transactional id";
    106, FetchSessionTopicIdError, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "the fetch session mixes topics with and without ids";
    107, IneligibleReplica, "INELIGIBLE_REPLICA", final, "a replica may not be in sync";
    108, NewLeaderElected, "NEW_LEADER_ELECTED", final, "the partition was changed, and its leader with it";
    109, OffsetMovedToTieredStorage, "OFFSET_MOVED_TO_TIERED_STORAGE", final, "the offset lies in tiered storage";
    110, FencedMemberEpoch, "FENCED_MEMBER_EPOCH", final, "the member's epoch is fenced; give up all partitions and join again";
    111, UnreleasedInstanceId, "UNRELEASED_INSTANCE_ID", final, "another member still uses the group instance id";
    112, UnsupportedAssignor, "UNSUPPORTED_ASSIGNOR", final, "the assignor is not supported";
    113, StaleMemberEpoch, "STALE_MEMBER_EPOCH", final, "the member's epoch is old; retry with the next one";
    114, MismatchedEndpointType, "MISMATCHED_ENDPOINT_TYPE", final, "this endpoint serves other requests";
    115, UnsupportedEndpointType, "UNSUPPORTED_ENDPOINT_TYPE", final, "the type of endpoint is not supported";
    116, UnknownControllerId, "UNKNOWN_CONTROLLER_ID", final, "no such controller";
    117, UnknownSubscriptionId, "UNKNOWN_SUBSCRIPTION_ID", final, "no such telemetry subscription";
    118, TelemetryTooLarge, "TELEMETRY_TOO_LARGE", final, "the telemetry is larger than allowed";
    119, InvalidRegistration, "INVALID_REGISTRATION", final, "the controller refused the registration";
    120, TransactionAbortable, "TRANSACTION_ABORTABLE", final, "the transaction must be aborted; its id can go on";
    121, InvalidRecordState, "INVALID_RECORD_STATE", final, "the record's state does not allow this";
    122, ShareSessionNotFound, "SHARE_SESSION_NOT_FOUND", retriable, "no such share session";
    123, InvalidShareSessionEpoch, "INVALID_SHARE_SESSION_EPOCH", retriable, "the share session has another epoch";
    124, FencedStateEpoch, "FENCED_STATE_EPOCH", final, "the state epoch is fenced";
    125, InvalidVoterKey, "INVALID_VOTER_KEY", final, "the voter's key is not this replica's";
    126, DuplicateVoter, "DUPLICATE_VOTER", final, "the voter is in the set already";
    127, VoterNotFound, "VOTER_NOT_FOUND", final, "the voter is not in the set";
    128, InvalidRegularExpression, "INVALID_REGULAR_EXPRESSION", final, "the regular expression is not valid";
    129, RebootstrapRequired, "REBOOTSTRAP_REQUIRED", final, "the client's metadata is stale; start from the bootstrap servers again";
    130, StreamsInvalidTopology, "STREAMS_INVALID_TOPOLOGY", final, "the topology is not valid";
    131, StreamsInvalidTopologyEpoch, "STREAMS_INVALID_TOPOLOGY_EPOCH", final, "the topology's epoch is not valid";
    132, StreamsTopologyFenced, "STREAMS_TOPOLOGY_FENCED", final, "the topology's epoch is outdated";
    133, ShareSessionLimitReached, "SHARE_SESSION_LIMIT_REACHED", retriable, "there are as many share sessions as allowed";
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether this is an error at all.
    pub const fn is_error(self) -> bool {
        !matches!(self, ErrorCode::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name(), self.code(), self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn numbers_and_names_are_unique_and_map_back() {
        for pair in ErrorCode::ALL.windows(2) {
            assert_eq!(pair[0].code() + 1, pair[1].code());
        }
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
        }
        let names: std::collections::BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        assert_eq!(ErrorCode::from_code(134), None);
    }
}
