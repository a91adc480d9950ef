//! Text to [`Node`], by recursive descent.

use super::attribute::{Attribute, Side};
use super::{Literal, MAX_EXPRESSION_BYTES, Method, Node, Relation};
use http::HeaderName;
use std::time::Duration;

/// Parentheses and operators within each other at most.
const MAX_DEPTH: usize = 32;

pub(super) fn parse(text: &str) -> Result<Node, String> {
    if text.len() > MAX_EXPRESSION_BYTES {
        let found = text.len();
        return Err(format!("expected at most {MAX_EXPRESSION_BYTES} bytes, found {found}"));
    }
    let mut parser = Parser { rest: text, depth: 0 };
    let node = parser.choice()?;
    parser.space();
    if parser.rest.is_empty() {
        Ok(node)
    } else {
        Err(parser.unexpected("an operator or the end"))
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

type Parsed = Result<Node, String>;

impl<'t> Parser<'t> {
    /// `condition ? then : otherwise`.
    fn choice(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} levels, found more"));
        }
        let condition = self.any()?;
        let node = if self.eats("?") {
            let then = self.choice()?;
            self.expect(":")?;
            Node::If(Box::new((condition, then, self.choice()?)))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    fn any(&mut self) -> Parsed {
        self.chain("||", Self::all, Node::Any)
    }

    fn all(&mut self) -> Parsed {
        self.chain("&&", Self::relation, Node::All)
    }

    fn sum(&mut self) -> Parsed {
        self.chain("+", Self::unary, Node::Join)
    }

    fn chain(&mut self, operator: &str, below: fn(&mut Self) -> Parsed, make: fn(Vec<Node>) -> Node) -> Parsed {
        let first = below(self)?;
        let mut nodes = vec![first];
        while self.eats(operator) {
            nodes.push(below(self)?);
        }
        match nodes.pop() {
            Some(only) if nodes.is_empty() => Ok(only),
            Some(last) => {
                nodes.push(last);
                Ok(make(nodes))
            }
            None => Err(self.unexpected("a value")),
        }
    }

    fn relation(&mut self) -> Parsed {
        const RELATIONS: [(&str, Relation); 6] = [
            ("==", Relation::Equal),
            ("!=", Relation::NotEqual),
            ("<=", Relation::LessOrEqual),
            (">=", Relation::GreaterOrEqual),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        let left = self.sum()?;
        if let Some((_, relation)) = RELATIONS.iter().find(|(operator, _)| self.eats(operator)) {
            return Ok(Node::Compare(Box::new(left), *relation, Box::new(self.sum()?)));
        }
        if self.eats_word("in") {
            self.expect("[")?;
            return Ok(Node::In(Box::new(left), self.list()?));
        }
        Ok(left)
    }

    /// The items of a list, up to its end.
    fn list(&mut self) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        while !self.eats("]") {
            items.push(self.sum()?);
            if !self.eats(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items)
    }

    fn unary(&mut self) -> Parsed {
        self.space();
        if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(format!("expected at most {MAX_DEPTH} levels, found more"));
            }
            self.expect("!")?;
            let inner = self.unary()?;
            self.depth -= 1;
            return Ok(Node::Not(Box::new(inner)));
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed {
        self.space();
        if self.eats("(") {
            let inner = self.choice()?;
            self.expect(")")?;
            return self.methods(inner);
        }
        match self.rest.chars().next() {
            Some('\'' | '"') => {
                let text = self.quoted()?;
                self.methods(Node::Literal(Literal::Text(text)))
            }
            Some('-' | '0'..='9') => self.number(),
            Some(first) if first.is_ascii_alphabetic() || first == '_' => self.named(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn number(&mut self) -> Parsed {
        let negative = self.eats("-");
        let digits = self.take(|c| c.is_ascii_digit());
        if self.rest.starts_with('.') {
            return Err("numbers with a fraction are not supported".to_owned());
        }
        // `200u` is CEL's unsigned number.
        self.eats("u");
        let value: i64 = digits
            .parse()
            .map_err(|_| format!("expected a whole number, found `{digits}`"))?;
        Ok(Node::Literal(Literal::Number(if negative { -value } else { value })))
    }

    /// A word: a constant, a function, or an attribute.
    fn named(&mut self) -> Parsed {
        let word = self.word();
        match word {
            "true" | "false" => return Ok(Node::Literal(Literal::Bool(word == "true"))),
            "has" if self.eats("(") => {
                let attribute = self.attribute()?;
                self.expect(")")?;
                return Ok(Node::Has(attribute));
            }
            "duration" if self.eats("(") => {
                self.space();
                let text = self.quoted()?;
                self.expect(")")?;
                let length =
                    duration(&text).ok_or(format!("expected a duration such as '1s' or '500ms', found '{text}'"))?;
                return Ok(Node::Literal(Literal::Duration(length)));
            }
            "string" if self.eats("(") => {
                let inner = self.choice()?;
                self.expect(")")?;
                return Ok(inner);
            }
            _ if self.rest.starts_with('(') => return Err(format!("the function `{word}` is not supported")),
            _ => {}
        }
        let attribute = self.attribute_from(word)?;
        self.methods(Node::Attribute(attribute))
    }

    fn attribute(&mut self) -> Result<Attribute, String> {
        self.space();
        let word = self.word();
        self.attribute_from(word)
    }

    /// `request` + `.headers['x']` and so on.
    fn attribute_from(&mut self, root: &str) -> Result<Attribute, String> {
        let after = self
            .rest
            .strip_prefix('.')
            .ok_or_else(|| format!("`{root}` is no attribute that is known"))?;
        self.rest = after;
        let name = format!("{root}.{}", self.word());
        let side = match name.as_str() {
            "request.headers" => Side::Request,
            "response.headers" => Side::Response,
            _ => return Attribute::named(&name).ok_or_else(|| format!("`{name}` is no attribute that is known")),
        };
        let header = if self.eats("[") {
            self.space();
            let header = self.quoted()?;
            self.expect("]")?;
            header
        } else if let Some(after) = self.rest.strip_prefix('.') {
            self.rest = after;
            self.word().to_owned()
        } else {
            return Err(self.unexpected("a header's name, as in request.headers['x-user']"));
        };
        let name = HeaderName::from_bytes(header.to_ascii_lowercase().as_bytes());
        name.map(|name| Attribute::Header(side, name))
            .map_err(|_| format!("`{header}` is no header's name"))
    }

    /// `.startsWith('x')` behind a value.
    fn methods(&mut self, mut node: Node) -> Parsed {
        while let Some(after) = self.rest.strip_prefix('.') {
            self.rest = after;
            let word = self.word();
            let method = match word {
                "startsWith" => Method::StartsWith,
                "endsWith" => Method::EndsWith,
                "contains" => Method::Contains,
                _ => return Err(format!("`.{word}` is not supported")),
            };
            self.expect("(")?;
            let argument = self.sum()?;
            self.expect(")")?;
            node = Node::Call(Box::new(node), method, Box::new(argument));
        }
        Ok(node)
    }

    fn quoted(&mut self) -> Result<String, String> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let quote = quote.ok_or_else(|| self.unexpected("a text in quotes"))?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next().map(|(_, escaped)| escaped) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(escaped @ ('\\' | '\'' | '"')) => text.push(escaped),
                    _ => return Err("an escape in a text is not supported".to_owned()),
                },
                end if end == quote => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(text);
                }
                other => text.push(other),
            }
        }
        Err(format!(
            "expected {quote} at the end of a text, found the end of the expression"
        ))
    }

    fn word(&mut self) -> &'t str {
        self.take(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eats(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A word, and not the beginning of one.
    fn eats_word(&mut self, word: &str) -> bool {
        self.space();
        let Some(rest) = self.rest.strip_prefix(word) else {
            return false;
        };
        if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest;
        true
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eats(token) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{token}`")))
        }
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(20).collect();
        if found.is_empty() {
            format!("expected {wanted}, found the end")
        } else {
            format!("expected {wanted}, found `{found}`")
        }
    }
}

/// `1s`, `1.5s`, `500ms`, `1m`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(at)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}
