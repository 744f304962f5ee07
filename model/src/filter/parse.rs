//! From text to an expression, or to what is wrong with it and where.

use super::{Expr, Field, FieldType, Fields, LONGEST, Literal, Op};

/// How deep parentheses and `NOT` may nest.
const DEEPEST: u32 = 32;

/// Why a filter could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {reason}")]
pub struct Unreadable {
    /// Where, in characters from 1.
    pub at: usize,
    /// What is wrong there.
    pub reason: String,
    /// Whether it names a field that the kind does not have.
    pub unknown_field: bool,
}

/// Reads a filter over these fields.
///
/// # Errors
/// [`Unreadable`] at the first place that makes no sense.
pub fn parse(text: &str, fields: &Fields) -> Result<Expr, Unreadable> {
    if text.len() > LONGEST {
        return Err(unreadable(
            1,
            format!("a filter is at most {LONGEST} bytes"),
        ));
    }
    let tokens = tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        end,
        fields,
    };
    let expr = parser.all(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some((at, token)) => Err(unreadable(*at, format!("{token} is not expected here"))),
    }
}

fn unreadable(at: usize, reason: impl Into<String>) -> Unreadable {
    Unreadable {
        at,
        reason: reason.into(),
        unknown_field: false,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Op(Op),
    /// Without quotes: a field, a keyword or a value.
    Word(String),
    /// In quotes: a value.
    Quoted(String),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::Op(_) => f.write_str("a comparison"),
            Self::Word(word) => write!(f, "`{}`", clip(word)),
            Self::Quoted(_) => f.write_str("a quoted text"),
        }
    }
}

fn clip(word: &str) -> String {
    word.chars().take(40).collect()
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':' | '+')
}

type Chars<'a> = std::iter::Peekable<std::iter::Enumerate<std::str::Chars<'a>>>;

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Unreadable> {
    let mut tokens = Vec::new();
    let mut chars: Chars<'_> = text.chars().enumerate().peekable();
    while let Some((i, c)) = chars.next() {
        let at = i + 1;
        let mut or_equal = |with: Op, without: Op| {
            let equal = chars.next_if(|(_, next)| *next == '=').is_some();
            Token::Op(if equal { with } else { without })
        };
        let token = match c {
            ' ' => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '=' => Token::Op(Op::Equal),
            '<' => or_equal(Op::LessOrEqual, Op::Less),
            '>' => or_equal(Op::GreaterOrEqual, Op::Greater),
            '!' if chars.next_if(|(_, next)| *next == '=').is_some() => Token::Op(Op::NotEqual),
            '"' => Token::Quoted(quoted(&mut chars, at)?),
            c if in_word(c) => {
                let mut word = String::from(c);
                while let Some((_, c)) = chars.next_if(|(_, next)| in_word(*next)) {
                    word.push(c);
                }
                // `labels."a key"`: what follows the point may be quoted.
                if word.ends_with('.') && chars.next_if(|(_, next)| *next == '"').is_some() {
                    word.push_str(&quoted(&mut chars, at)?);
                }
                Token::Word(word)
            }
            _ => return Err(unreadable(at, "this character is not expected here")),
        };
        tokens.push((at, token));
    }
    Ok(tokens)
}

/// The rest of a quoted text; `\"` and `\\` stand for the character itself.
fn quoted(chars: &mut Chars<'_>, at: usize) -> Result<String, Unreadable> {
    let mut text = String::new();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok(text),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => text.push(c),
                _ => return Err(unreadable(i + 1, "after `\\` comes `\"` or `\\`")),
            },
            c if c.is_control() => {
                return Err(unreadable(i + 1, "a text has no control characters"));
            }
            c => text.push(c),
        }
    }
    Err(unreadable(at, "the quoted text does not end"))
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    end: usize,
    fields: &'a Fields,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&(usize, Token)> {
        self.tokens.get(self.next)
    }

    fn at(&self) -> usize {
        self.peek().map_or(self.end, |(at, _)| *at)
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some((_, Token::Word(w))) if w == word);
        self.next += usize::from(found);
        found
    }

    /// Parts joined by one of `AND` and `OR`. Which of the two binds tighter is a thing that people remember differently.
    fn all(&mut self, depth: u32) -> Result<Expr, Unreadable> {
        let first = self.one(depth)?;
        let mut parts = vec![first];
        let mut joined_by = None;
        loop {
            let at = self.at();
            let word = if self.keyword("AND") {
                "AND"
            } else if self.keyword("OR") {
                "OR"
            } else {
                break;
            };
            if *joined_by.get_or_insert(word) != word {
                return Err(unreadable(at, "put parentheses where `AND` and `OR` meet"));
            }
            parts.push(self.one(depth)?);
        }
        Ok(match joined_by {
            Some("AND") => Expr::And(parts),
            Some(_) => Expr::Or(parts),
            None => parts.remove(0),
        })
    }

    fn one(&mut self, depth: u32) -> Result<Expr, Unreadable> {
        let at = self.at();
        if depth >= DEEPEST {
            return Err(unreadable(at, format!("nested deeper than {DEEPEST}")));
        }
        if self.keyword("NOT") {
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        if matches!(self.peek(), Some((_, Token::Open))) {
            self.next += 1;
            let inner = self.all(depth + 1)?;
            return match self.peek() {
                Some((_, Token::Close)) => {
                    self.next += 1;
                    Ok(inner)
                }
                _ => Err(unreadable(self.at(), "`)` is missing")),
            };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, Unreadable> {
        let at = self.at();
        let Some((_, Token::Word(name))) = self.peek().cloned() else {
            return Err(unreadable(at, "a field is missing, such as `name`"));
        };
        self.next += 1;
        let Some(field) = self.fields.find(&name) else {
            let reason = format!(
                "there is no field `{}`; there are {}",
                clip(&name),
                self.fields.names().join(", ")
            );
            let unknown_field = true;
            return Err(Unreadable {
                at,
                reason,
                unknown_field,
            });
        };
        let at = self.at();
        let Some((_, Token::Op(op))) = self.peek().cloned() else {
            let reason = format!("a comparison is missing, such as `{}=`", clip(&name));
            return Err(unreadable(at, reason));
        };
        self.next += 1;
        let ordered = matches!(field.holds, FieldType::Number | FieldType::Time);
        if !ordered && !matches!(op, Op::Equal | Op::NotEqual) {
            let reason = format!("`{}` can only be compared by `=` and `!=`", clip(&name));
            return Err(unreadable(at, reason));
        }
        let at = self.at();
        let value = match self.peek() {
            Some((_, Token::Word(word))) => literal(&field, word, false),
            Some((_, Token::Quoted(text))) => literal(&field, text, true),
            _ => None,
        };
        let value = value.ok_or_else(|| unreadable(at, expected(&field)))?;
        self.next += 1;
        Ok(Expr::Compare {
            field: field.target,
            op,
            value,
        })
    }
}

fn literal(field: &Field, text: &str, quoted: bool) -> Option<Literal> {
    match field.holds {
        FieldType::Text => Some(Literal::Text(text.to_owned())),
        FieldType::Number if !quoted => text.parse().ok().map(Literal::Number),
        FieldType::Boolean if !quoted => text.parse().ok().map(Literal::Boolean),
        FieldType::Time => {
            let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
            Some(Literal::Time(time.to_utc()))
        }
        FieldType::Number | FieldType::Boolean => None,
    }
}

fn expected(field: &Field) -> String {
    let what = match field.holds {
        FieldType::Text => "a text, such as \"pay\"",
        FieldType::Number => "a whole number",
        FieldType::Boolean => "`true` or `false`",
        FieldType::Time => "a time, such as \"2026-01-31T12:00:00Z\"",
    };
    format!("`{}` compares to {what}", clip(&field.name))
}
