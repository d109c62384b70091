//! What Kafka has and Siltstone can't mean: refused in so many words, in every version.

use siltstone_kafka::{
    ErrorCode, Request, Response, alter_client_quotas, alter_partition_reassignments, create_acls,
    delete_acls, describe_acls, describe_client_quotas, describe_user_scram_credentials, elect_leaders,
    list_config_resources, list_partition_reassignments, update_features,
};

use super::kit::{agent, answer, with_topic};

#[tokio::test]
async fn nothing_is_authorized_and_so_there_are_no_acls() {
    let cx = agent(&[]).await;
    let disabled = ErrorCode::SecurityDisabled.code();
    assert_eq!(answer!(cx, DescribeAcls, 3, describe_acls::Request::default()).error_code, disabled);
    let creations = vec![Default::default()];
    let created = answer!(cx, CreateAcls, 3, create_acls::Request { creations });
    assert_eq!(created.results[0].error_code, disabled);
    let filters = vec![Default::default()];
    let deleted = answer!(cx, DeleteAcls, 3, delete_acls::Request { filters });
    assert_eq!(deleted.filter_results[0].error_code, disabled);
    let users = Some(vec![describe_user_scram_credentials::request::User { name: "u".into() }]);
    let request = describe_user_scram_credentials::Request { users };
    let users = answer!(cx, DescribeUserScramCredentials, 0, request);
    assert_eq!(users.results[0].error_code, ErrorCode::ResourceNotFound.code());
}

#[tokio::test]
async fn there_are_no_quotas_and_none_are_taken() {
    let cx = agent(&[]).await;
    let none = answer!(cx, DescribeClientQuotas, 1, describe_client_quotas::Request::default());
    assert_eq!((none.error_code, none.entries), (0, Some(Vec::new())));
    let request = alter_client_quotas::Request { entries: vec![Default::default()], validate_only: false };
    let refused = answer!(cx, AlterClientQuotas, 1, request);
    assert_eq!(refused.entries[0].error_code, ErrorCode::InvalidRequest.code());
}

#[tokio::test]
async fn partitions_neither_move_nor_need_elections() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    let none = answer!(cx, ListPartitionReassignments, 0, list_partition_reassignments::Request::default());
    assert_eq!((none.error_code, none.topics.len()), (0, 0));
    let partition = |partition_index, replicas| alter_partition_reassignments::request::Partition {
        partition_index,
        replicas,
    };
    let partitions = vec![partition(0, Some(vec![2])), partition(0, None), partition(7, None)];
    let topics = vec![alter_partition_reassignments::request::Topic { name: "t".into(), partitions }];
    let request = alter_partition_reassignments::Request { topics, ..Default::default() };
    let refused = answer!(cx, AlterPartitionReassignments, 1, request);
    let codes: Vec<i16> = refused.responses[0].partitions.iter().map(|one| one.error_code).collect();
    let expected = [
        ErrorCode::InvalidReplicaAssignment,
        ErrorCode::NoReassignmentInProgress,
        ErrorCode::UnknownTopicOrPartition,
    ];
    assert_eq!(codes, expected.map(ErrorCode::code));
    let asked = elect_leaders::request::TopicPartitions { topic: "t".into(), partitions: vec![0, 7] };
    let request = elect_leaders::Request { topic_partitions: Some(vec![asked]), ..Default::default() };
    let elected = answer!(cx, ElectLeaders, 2, request);
    let codes: Vec<i16> =
        elected.replica_election_results[0].partition_result.iter().map(|one| one.error_code).collect();
    assert_eq!(
        codes,
        [ErrorCode::ElectionNotNeeded, ErrorCode::UnknownTopicOrPartition].map(ErrorCode::code)
    );
    let request = elect_leaders::Request { topic_partitions: None, ..Default::default() };
    assert_eq!(answer!(cx, ElectLeaders, 2, request).replica_election_results.len(), 0);
}

#[tokio::test]
async fn features_keep_their_levels() {
    let cx = agent(&[]).await;
    let ask = |level| update_features::Request {
        feature_updates: vec![update_features::request::FeatureUpdate {
            feature: "group.version".into(),
            max_version_level: level,
            ..Default::default()
        }],
        ..Default::default()
    };
    for version in 0..=1 {
        let refused = answer!(cx, UpdateFeatures, version, ask(0));
        assert_eq!(refused.results[0].error_code, ErrorCode::FeatureUpdateFailed.code());
    }
    assert_eq!(answer!(cx, UpdateFeatures, 2, ask(0)).error_code, ErrorCode::FeatureUpdateFailed.code());
    assert_eq!(answer!(cx, UpdateFeatures, 2, ask(1)).error_code, 0);
}

#[tokio::test]
async fn resources_with_configs_are_listed() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    let ask = |types: &[i8]| list_config_resources::Request { resource_types: types.to_vec() };
    let all = answer!(cx, ListConfigResources, 1, ask(&[]));
    let names: Vec<_> =
        all.config_resources.iter().map(|one| (one.resource_name.as_str(), one.resource_type)).collect();
    assert_eq!(names, [("t", 2), ("1", 4)]);
    assert_eq!(answer!(cx, ListConfigResources, 1, ask(&[16])).config_resources.len(), 0);
    assert_eq!(
        answer!(cx, ListConfigResources, 1, ask(&[77])).error_code,
        ErrorCode::UnsupportedVersion.code()
    );
    assert_eq!(answer!(cx, ListConfigResources, 0, ask(&[])).config_resources.len(), 0);
}
