use super::*;

fn text(text: &str) -> Bound {
    Bound::Bytes(text.as_bytes().to_vec())
}

#[test]
fn should_cut_lower_bounds_and_raise_upper_ones() {
    let string = Some(&PrimitiveType::String);
    let as_text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(as_text(truncate::lower(&text("héllo wörld"), string, 2)), Some("hé".into()));
    assert_eq!(as_text(truncate::upper(&text("héllo wörld"), string, 2)), Some("hê".into()));
    assert_eq!(as_text(truncate::upper(&text("hé"), string, 2)), Some("hé".into()));
    assert_eq!(as_text(truncate::upper(&text("a\u{10FFFF}x"), string, 2)), Some("b".into()));
    assert_eq!(truncate::upper(&text("\u{10FFFF}\u{10FFFF}x"), string, 2), None);
    assert_eq!(as_text(truncate::upper(&text("\u{D7FF}x"), string, 1)), Some("\u{E000}".into()));
    let binary = Some(&PrimitiveType::Binary);
    assert_eq!(truncate::upper(&Bound::Bytes(vec![1, 255, 255, 9]), binary, 3), Some(vec![2]));
    assert_eq!(truncate::upper(&Bound::Bytes(vec![255, 255]), binary, 1), None);
    // UUIDs and numbers are never cut.
    assert_eq!(truncate::upper(&Bound::Bytes(vec![7; 16]), Some(&PrimitiveType::Uuid), 4), Some(vec![7; 16]));
}

#[test]
fn should_write_decimals_in_the_fewest_bytes() {
    for (value, bytes) in [
        (0, vec![0]),
        (127, vec![0x7f]),
        (128, vec![0, 0x80]),
        (-128, vec![0x80]),
        (-129, vec![0xff, 0x7f]),
        (-1, vec![0xff]),
    ] {
        assert_eq!(Bound::Decimal(value).to_bytes(), bytes, "{value}");
    }
}

#[test]
fn should_read_metrics_modes() {
    let schema: Schema = serde_json::from_value(serde_json::json!({
        "type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "a", "required": false, "type": "string"},
            {"id": 2, "name": "b", "required": false, "type": "long"},
        ]
    }))
    .unwrap();
    let props = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let modes = MetricsModes::from_properties(&schema, &props(&[])).unwrap();
    assert_eq!(modes.of(1), MetricsMode::Truncate(16));
    let asked = props(&[("write.metadata.metrics.default", "counts"), ("write.metadata.metrics.column.b", "full")]);
    let modes = MetricsModes::from_properties(&schema, &asked).unwrap();
    assert_eq!((modes.of(1), modes.of(2)), (MetricsMode::Counts, MetricsMode::Full));
    let few = props(&[("write.metadata.metrics.max-inferred-column-defaults", "1")]);
    assert_eq!(MetricsModes::from_properties(&schema, &few).unwrap().of(2), MetricsMode::None);
    let wrong = props(&[("write.metadata.metrics.default", "truncate(0)")]);
    assert!(MetricsModes::from_properties(&schema, &wrong).is_err());
}
