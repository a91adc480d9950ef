//! Reads the text that a Prometheus would scrape, so that tests can ask for a series.

/// One scrape.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Metric name.
    pub name: String,
    /// Labels in order.
    pub labels: Vec<(String, String)>,
    /// Value.
    pub value: f64,
}

impl Samples {
    /// Parses; panics at a line that is none.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        Self {
            samples: lines
                .map(|l| Sample::parse(l).unwrap_or_else(|| panic!("not a sample: {l}")))
                .collect(),
        }
    }

    /// The samples of this name with all of these labels.
    pub fn find<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> + 'a {
        self.samples
            .iter()
            .filter(move |s| s.name == name && labels.iter().all(|(k, v)| s.label(k) == Some(v)))
    }

    /// Their sum (0 when there are none).
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).map(|s| s.value).sum()
    }

    /// Names that contain this text, for messages.
    pub fn names_with(&self, part: &str) -> Vec<&str> {
        let mut names: Vec<_> = self
            .samples
            .iter()
            .map(|s| s.name.as_str())
            .filter(|n| n.contains(part))
            .collect();
        names.dedup();
        names
    }
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    fn parse(line: &str) -> Option<Self> {
        let (series, value) = match line.rfind('}') {
            Some(end) => (&line[..=end], line[end + 1..].trim()),
            None => line.split_once(' ')?,
        };
        let value = value.split_whitespace().next()?.parse().ok()?;
        let Some((name, labels)) = series.split_once('{') else {
            return Some(Self {
                name: series.into(),
                labels: Vec::new(),
                value,
            });
        };
        let labels = labels.strip_suffix('}')?;
        Some(Self {
            name: name.into(),
            labels: parse_labels(labels)?,
            value,
        })
    }
}

fn parse_labels(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (i, '"') => break i,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, c) => value.push(c),
            }
        };
        labels.push((name.into(), value));
        text = rest[end + 1..].trim_start_matches(',');
    }
    Some(labels)
}
