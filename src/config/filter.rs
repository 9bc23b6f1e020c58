//! `--where`: a row filter in SQL's words.

use crate::error::{Error, Result};
use crate::model::{Compare, Filter, Value};

/// Parses a filter: comparisons, `AND`, `OR`, `NOT`, `IN`, `BETWEEN`, `IS NULL`, parentheses.
///
/// # Errors
/// `InvalidInput` pointing at the place that is not understood.
pub fn parse(text: &str) -> Result<Filter> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let filter = parser.any()?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.expected("AND, OR, or the end")),
    }
}

/// How deeply parentheses and NOT may be nested. A saved plan holds the filter, and JSON readers have a limit too.
const DEEPEST: usize = 20;

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
    const SIGNS: [&str; 14] = ["<=", ">=", "<>", "!=", "==", "=", "<", ">", "(", ")", ",", "-", "+", "."];
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
        } else if c.is_ascii_digit() || (c == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit)) {
            while chars.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || "._".contains(*c))
                || (matches!(chars.get(at), Some('+' | '-')) && matches!(chars[at - 1], 'e' | 'E'))
            {
                at += 1;
            }
            let number: String = chars[start..at].iter().collect();
            if !number.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(wrong(text, start, &format!("{number:?} is no number")));
            }
            Token::Number(number)
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
    depth: usize,
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
        let mut sides = vec![self.all()?];
        while self.keyword("or") {
            sides.push(self.all()?);
        }
        Ok(joined(sides, Filter::Or))
    }

    fn all(&mut self) -> Result<Filter> {
        let mut sides = vec![self.one()?];
        while self.keyword("and") {
            sides.push(self.one()?);
        }
        Ok(joined(sides, Filter::And))
    }

    fn one(&mut self) -> Result<Filter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.expected(&format!("at most {DEEPEST} levels of nesting")));
        }
        let one = self.one_inside();
        self.depth -= 1;
        one
    }

    fn one_inside(&mut self) -> Result<Filter> {
        if self.keyword("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.sign("(") {
            let inside = self.any()?;
            return if self.sign(")") { Ok(inside) } else { Err(self.expected("a closing parenthesis")) };
        }
        if matches!(self.peek(), Some(Token::Number(_) | Token::Text(_) | Token::Sign("-" | "+"))) {
            return self.turned();
        }
        let column = self.column()?;
        self.condition(column)
    }

    /// A column's full name; parts may be quoted one by one.
    fn column(&mut self) -> Result<String> {
        let mut name = String::new();
        loop {
            match self.peek() {
                Some(Token::Word(part) | Token::Quoted(part)) => name.push_str(part),
                _ => return Err(self.expected("a column")),
            }
            self.at += 1;
            // A word takes dots inside it along; those beside a quoted part stand alone.
            match self.peek() {
                Some(Token::Sign(".")) => {
                    self.at += 1;
                    name.push('.');
                }
                _ if name.ends_with('.') => {}
                _ => return Ok(name),
            }
        }
    }

    /// A constant on the left: `1 < a` is `a > 1`.
    fn turned(&mut self) -> Result<Filter> {
        let value = self.value()?;
        let compare = match self.compare()? {
            Compare::Lt => Compare::Gt,
            Compare::LtEq => Compare::GtEq,
            Compare::Gt => Compare::Lt,
            Compare::GtEq => Compare::LtEq,
            same @ (Compare::Eq | Compare::NotEq) => same,
        };
        Ok(Filter::Compare { column: self.column()?, compare, value })
    }

    fn compare(&mut self) -> Result<Compare> {
        let compare = match self.peek() {
            Some(Token::Sign("=" | "==")) => Compare::Eq,
            Some(Token::Sign("<>" | "!=")) => Compare::NotEq,
            Some(Token::Sign("<")) => Compare::Lt,
            Some(Token::Sign("<=")) => Compare::LtEq,
            Some(Token::Sign(">")) => Compare::Gt,
            Some(Token::Sign(">=")) => Compare::GtEq,
            _ => return Err(self.expected("a comparison, IN, BETWEEN or IS")),
        };
        self.at += 1;
        Ok(compare)
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
        if not {
            return Err(self.expected("IN or BETWEEN"));
        }
        let compare = self.compare()?;
        Ok(Filter::Compare { column, compare, value: self.value()? })
    }

    fn value(&mut self) -> Result<Value> {
        let minus = self.sign("-");
        if !minus && self.sign("+") && !matches!(self.peek(), Some(Token::Number(_))) {
            return Err(self.expected("a number"));
        }
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
                match self.peek().cloned() {
                    Some(Token::Text(text)) => {
                        self.at += 1;
                        Value::Text(text)
                    }
                    _ => return Err(self.expected("a string in single quotes")),
                }
            }
            _ => {
                self.at -= 1;
                return Err(self.expected("a number, a string in single quotes, true or false"));
            }
        };
        Ok(value)
    }
}

/// A long chain as a tree of little depth.
fn joined(mut sides: Vec<Filter>, join: fn(Box<Filter>, Box<Filter>) -> Filter) -> Filter {
    while sides.len() > 1 {
        let mut pairs = Vec::with_capacity(sides.len().div_ceil(2));
        let mut rest = sides.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => join(Box::new(left), Box::new(right)),
                None => left,
            });
        }
        sides = pairs;
    }
    sides.swap_remove(0)
}

fn negated(not: bool, filter: Filter) -> Filter {
    if not { Filter::Not(Box::new(filter)) } else { filter }
}

#[cfg(test)]
mod tests;
