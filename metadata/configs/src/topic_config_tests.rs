use super::*;

fn set(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn without_overrides_kafkas_defaults_hold() {
    let config = TopicConfig::default();
    assert_eq!(config.cleanup, Cleanup { delete: true, compact: false });
    assert_eq!(config.retention_ms, Some(7 * 24 * 3_600_000));
    assert_eq!(config.retention_bytes, None);
    assert_eq!(config.delete_retention_ms, 86_400_000);
    assert_eq!((config.min_compaction_lag_ms, config.max_compaction_lag_ms), (0, i64::MAX as u64));
    assert_eq!(config.min_cleanable_dirty_ratio, 0.5);
    assert_eq!(config.max_message_bytes, 1_048_588);
    assert_eq!(config.timestamp_type, TimestampType::CreateTime);
    assert_eq!((config.timestamp_before_max_ms, config.timestamp_after_max_ms), (i64::MAX as u64, 3_600_000));
    assert_eq!((config.compression, config.gzip_level, config.zstd_level), (Compression::Producer, None, 3));
    assert_eq!(config.write, WriteMode::Auto);
}

#[test]
fn nearer_layers_win_and_units_are_converted() {
    let fixed = set(&[("log.retention.hours", "24"), ("message.max.bytes", "10")]);
    let cluster = set(&[("message.max.bytes", "20")]);
    let broker = set(&[("message.max.bytes", "30"), ("log.cleanup.policy", "compact")]);
    let nothing = Overrides::new();
    let layers = BrokerLayers { broker: &nothing, cluster: &nothing, fixed: &fixed };
    let config = TopicConfig::resolve(&nothing, layers);
    assert_eq!((config.retention_ms, config.max_message_bytes), (Some(86_400_000), 10));

    let layers = BrokerLayers { broker: &broker, cluster: &cluster, fixed: &fixed };
    assert_eq!(
        TopicConfig::resolve(&nothing, BrokerLayers { broker: &nothing, ..layers }).max_message_bytes,
        20
    );
    let config = TopicConfig::resolve(&nothing, layers);
    assert_eq!((config.max_message_bytes, config.cleanup.compact), (30, true));

    let own = set(&[("max.message.bytes", "40"), ("cleanup.policy", ""), ("retention.ms", "-1")]);
    let config = TopicConfig::resolve(&own, layers);
    assert_eq!((config.max_message_bytes, config.retention_ms), (40, None));
    assert_eq!(config.cleanup, Cleanup { delete: false, compact: false });
}

#[test]
fn every_choice_of_a_text_config_is_told_apart() {
    let of = |name: &str, value: &str| TopicConfig::resolve(&set(&[(name, value)]), BrokerLayers::none());
    let codecs = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];
    let found: Vec<Compression> = codecs.iter().map(|c| of("compression.type", c).compression).collect();
    use Compression::*;
    assert_eq!(found, [Producer, Uncompressed, Gzip, Snappy, Lz4, Zstd]);
    let modes: Vec<WriteMode> =
        ["auto", "inline", "object"].iter().map(|m| of("siltstone.write", m).write).collect();
    assert_eq!(modes, [WriteMode::Auto, WriteMode::Inline, WriteMode::Object]);
    assert_eq!(of("message.timestamp.type", "LogAppendTime").timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(of("compression.gzip.level", "9").gzip_level, Some(9));
    assert_eq!(of("compression.gzip.level", "9").compression_level(), None);
    assert_eq!(of("compression.type", "zstd").compression_level(), Some(3));
    let gzip = set(&[("compression.type", "gzip"), ("compression.gzip.level", "9")]);
    assert_eq!(TopicConfig::resolve(&gzip, BrokerLayers::none()).compression_level(), Some(9));
}

#[test]
fn a_text_that_cannot_be_read_gives_way_to_the_next_layer() {
    let own = set(&[("max.message.bytes", "many"), ("tea", "green")]);
    assert_eq!(TopicConfig::resolve(&own, BrokerLayers::none()), TopicConfig::default());
    assert_eq!(crate::unusable_topic(&own).len(), 2);
}
