use std::fmt;

/// Why a service config is rejected: which field, what it is, and what would be valid.
///
/// ```
/// use wireloom::ServiceConfig;
///
/// let error = ServiceConfig::from_json(r#"{"methodConfig": [{"timeout": "1 minute"}]}"#).unwrap_err();
/// assert_eq!(error.field(), "methodConfig[0].timeout");
/// assert_eq!(error.reason(), "is \"1 minute\"");
///
/// let error = ServiceConfig::from_json("{\n  methodConfig: []\n}").unwrap_err();
/// assert_eq!(error.position(), Some((2, 3)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidServiceConfig {
    field: String,
    reason: String,
    expected: String,
    position: Option<(usize, usize)>,
}

impl InvalidServiceConfig {
    pub(super) fn new(
        field: impl Into<String>,
        reason: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
            expected: expected.into(),
            position: None,
        }
    }

    /// What is not JSON, or not JSON that can be read.
    pub(super) fn syntax(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        // serde_json ends its messages with the position, which `position` has.
        let reason = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(reason, _)| reason);
        Self {
            position: Some((error.line(), error.column())),
            ..Self::new("", reason, "JSON")
        }
    }

    /// The path of the field, as the document spells it: `methodConfig[0].retryPolicy.maxAttempts`.
    ///
    /// Empty where the document as a whole is at fault.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with the field, as what follows its name: `is "1 minute"`, `is missing`.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What would be valid there.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// For a document that is not JSON, the line and the column, from 1, at which reading it ended.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.position
    }
}

impl fmt::Display for InvalidServiceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, expected) = (&self.reason, &self.expected);
        f.write_str("invalid service config: ")?;
        match (self.position, self.field.as_str()) {
            (Some((line, column)), _) => {
                write!(
                    f,
                    "line {line}, column {column}: {reason}; must be {expected}"
                )
            }
            (None, "") => write!(f, "the document {reason}; must be {expected}"),
            (None, field) => write!(f, "`{field}` {reason}; must be {expected}"),
        }
    }
}

impl std::error::Error for InvalidServiceConfig {}
