use super::*;

fn compare(column: &str, compare: Compare, value: Value) -> Filter {
    Filter::Compare { column: column.into(), compare, value }
}

#[test]
fn should_bind_and_before_or() {
    let one = |column: &str| compare(column, Compare::Eq, Value::Number("1".into()));
    assert_eq!(
        parse("a = 1 or b = 1 and not (c = 1)").unwrap(),
        Filter::Or(
            Box::new(one("a")),
            Box::new(Filter::And(Box::new(one("b")), Box::new(Filter::Not(Box::new(one("c"))))))
        )
    );
}

#[test]
fn should_read_all_forms() {
    assert_eq!(
        parse("ts >= TIMESTAMP '2024-01-01'").unwrap(),
        compare("ts", Compare::GtEq, Value::Text("2024-01-01".into()))
    );
    assert_eq!(
        parse("\"odd name\" <> -1.5").unwrap(),
        compare("odd name", Compare::NotEq, Value::Number("-1.5".into()))
    );
    assert_eq!(
        parse("s.x NOT IN ('it''s', 'b')").unwrap(),
        Filter::Not(Box::new(Filter::In {
            column: "s.x".into(),
            values: vec![Value::Text("it's".into()), Value::Text("b".into())]
        }))
    );
    assert_eq!(parse("a IS NOT NULL").unwrap(), Filter::Not(Box::new(Filter::IsNull { column: "a".into() })));
    assert!(matches!(parse("a between 1 and 2").unwrap(), Filter::And(..)));
    assert_eq!(parse("-1e-3 < a").unwrap(), compare("a", Compare::Gt, Value::Number("-1e-3".into())));
    assert_eq!(parse("a.\"b c\".d = +.5").unwrap(), compare("a.b c.d", Compare::Eq, Value::Number(".5".into())));
    assert_eq!(parse("date = DATE '2024-01-01'").unwrap(), parse("'2024-01-01' = `date`").unwrap());
}

#[test]
fn should_point_at_what_is_wrong() {
    for (text, place) in [
        ("a >", "character 4"),
        ("a = 1 b", "character 7"),
        ("a = 'x", "character 5"),
        ("(a = 1", "character 7"),
        ("a ; 1", "character 3"),
        ("", "character 1"),
        ("a > 1.2.3", "character 5"),
        ("é = DATE 3", "character 10"),
        ("a not 3", "character 7"),
        ("a. = 3", "character 4"),
        (&"(".repeat(100_000), "character 21"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(place), "{text}: {error}");
    }
}

#[test]
fn should_keep_long_chains_flat() {
    fn depth(filter: &Filter) -> usize {
        match filter {
            Filter::And(left, right) | Filter::Or(left, right) => 1 + depth(left).max(depth(right)),
            Filter::Not(inside) => 1 + depth(inside),
            Filter::Compare { .. } | Filter::In { .. } | Filter::IsNull { .. } => 1,
        }
    }
    let many = parse(&format!("a = 1{}", " or a = 1".repeat(10_000))).unwrap();
    assert_eq!(depth(&many), 15);
    let nested = format!("{}a = 1{}", "not (b = 1 or ".repeat(9), ")".repeat(9));
    let saved = serde_json::to_string(&parse(&nested).unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Filter>(&saved).unwrap(), parse(&nested).unwrap());
}
