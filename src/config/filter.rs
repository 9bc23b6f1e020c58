//! `--where`: a row filter in SQL's words.

use crate::error::{Error, Result};
use crate::model::{Compare, Filter, Value};

/// Parses a filter: comparisons, `AND`, `OR`, `NOT`, `IN`, `BETWEEN`, `IS NULL`, parentheses.
///
/// # Errors
/// `InvalidInput` pointing at the place that is not understood.
pub fn parse(text: &str) -> Result<Filter> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0 };
    let filter = parser.any()?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.expected("AND, OR, or the end")),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Number(String),
    Text(String),
    Sign(&'static str),
}

fn wrong(text: &str, position: usize, what: &str) -> Error {
    let before: String = text.chars().take(position).collect();
    Error::invalid(format!("--where is not understood at character {}: {what} (after {before:?})", position + 1))
        .hint("write it as in \"ts >= '2024-01-01' AND region IN ('eu', 'us')\"")
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    const SIGNS: [&str; 12] = ["<=", ">=", "<>", "!=", "==", "=", "<", ">", "(", ")", ",", "-"];
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let (start, c) = (at, chars[at]);
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let token = if c == '\'' || c == '"' || c == '`' {
            at += 1;
            let mut inside = String::new();
            loop {
                match (chars.get(at), chars.get(at + 1)) {
                    // A doubled quote stands for itself.
                    (Some(q), Some(again)) if *q == c && *again == c => {
                        inside.push(c);
                        at += 2;
                    }
                    (Some(q), _) if *q == c => break at += 1,
                    (Some(other), _) => {
                        inside.push(*other);
                        at += 1;
                    }
                    (None, _) => return Err(wrong(text, start, "a quote is not closed")),
                }
            }
            if c == '\'' { Token::Text(inside) } else { Token::Quoted(inside) }
        } else if c.is_ascii_digit() {
            while chars.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '.') {
                at += 1;
            }
            Token::Number(chars[start..at].iter().collect())
        } else if c.is_alphabetic() || c == '_' {
            while chars.get(at).is_some_and(|c| c.is_alphanumeric() || "_.".contains(*c)) {
                at += 1;
            }
            Token::Word(chars[start..at].iter().collect())
        } else {
            let rest: String = chars[at..chars.len().min(at + 2)].iter().collect();
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| wrong(text, start, "unexpected character"))?;
            at += sign.len();
            Token::Sign(sign)
        };
        found.push((start, token));
    }
    Ok(found)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn expected(&self, what: &str) -> Error {
        let position = self.tokens.get(self.at).map_or(self.text.chars().count(), |(position, _)| *position);
        wrong(self.text, position, &format!("expected {what}"))
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(have)) if have.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(have)) if *have == sign);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Filter> {
        let mut left = self.all()?;
        while self.keyword("or") {
            left = Filter::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Filter> {
        let mut left = self.one()?;
        while self.keyword("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter> {
        if self.keyword("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.sign("(") {
            let inside = self.any()?;
            return if self.sign(")") { Ok(inside) } else { Err(self.expected("a closing parenthesis")) };
        }
        let column = match self.peek().cloned() {
            Some(Token::Word(name) | Token::Quoted(name)) => name,
            _ => return Err(self.expected("a column")),
        };
        self.at += 1;
        self.condition(column)
    }

    fn condition(&mut self, column: String) -> Result<Filter> {
        if self.keyword("is") {
            let not = self.keyword("not");
            if !self.keyword("null") {
                return Err(self.expected("NULL"));
            }
            return Ok(negated(not, Filter::IsNull { column }));
        }
        let not = self.keyword("not");
        if self.keyword("in") {
            let mut values = Vec::new();
            if !self.sign("(") {
                return Err(self.expected("a list in parentheses"));
            }
            loop {
                values.push(self.value()?);
                if self.sign(")") {
                    return Ok(negated(not, Filter::In { column, values }));
                }
                if !self.sign(",") {
                    return Err(self.expected("a comma or a closing parenthesis"));
                }
            }
        }
        if self.keyword("between") {
            let low = self.value()?;
            if !self.keyword("and") {
                return Err(self.expected("AND"));
            }
            let high = self.value()?;
            let from = Filter::Compare { column: column.clone(), compare: Compare::GtEq, value: low };
            let to = Filter::Compare { column, compare: Compare::LtEq, value: high };
            return Ok(negated(not, Filter::And(Box::new(from), Box::new(to))));
        }
        let compare = match self.peek() {
            Some(Token::Sign("=" | "==")) if !not => Compare::Eq,
            Some(Token::Sign("<>" | "!=")) if !not => Compare::NotEq,
            Some(Token::Sign("<")) if !not => Compare::Lt,
            Some(Token::Sign("<=")) if !not => Compare::LtEq,
            Some(Token::Sign(">")) if !not => Compare::Gt,
            Some(Token::Sign(">=")) if !not => Compare::GtEq,
            _ => return Err(self.expected("a comparison, IN, BETWEEN or IS")),
        };
        self.at += 1;
        Ok(Filter::Compare { column, compare, value: self.value()? })
    }

    fn value(&mut self) -> Result<Value> {
        let minus = self.sign("-");
        let token = self.peek().cloned();
        self.at += 1;
        let value = match token {
            Some(Token::Number(text)) => Value::Number(if minus { format!("-{text}") } else { text }),
            Some(Token::Text(text)) if !minus => Value::Text(text),
            Some(Token::Word(word)) if !minus && word.eq_ignore_ascii_case("true") => Value::Bool(true),
            Some(Token::Word(word)) if !minus && word.eq_ignore_ascii_case("false") => Value::Bool(false),
            // DATE '…' and TIMESTAMP '…': the column's own type decides.
            Some(Token::Word(word))
                if !minus && ["date", "timestamp", "time"].iter().any(|kind| word.eq_ignore_ascii_case(kind)) =>
            {
                return self.value();
            }
            _ => {
                self.at -= 1;
                return Err(self.expected("a number, a string in single quotes, true or false"));
            }
        };
        Ok(value)
    }
}

fn negated(not: bool, filter: Filter) -> Filter {
    if not { Filter::Not(Box::new(filter)) } else { filter }
}

#[cfg(test)]
mod tests {
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
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(place), "{text}: {error}");
        }
    }
}
