use http::HeaderMap;
use tonic::Status;

/// What the choice of a connection may depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PickRequest<'a> {
    /// The call's `/package.Service/Method`; empty where the connection is for no call.
    pub(crate) path: &'a str,
    /// The call's metadata, without what the protocol and the channel add.
    pub(crate) metadata: &'a HeaderMap,
    /// Waits until there is a connection, instead of failing where none can be made.
    pub(crate) wait_for_ready: bool,
}

/// Why there is no connection for an attempt.
#[derive(Debug)]
pub(crate) enum Unpicked {
    /// None can be made: whether there is another attempt is for the call's policy.
    Failed(Status),
    /// It is not to be made: the call ends.
    Dropped(Status),
}

impl From<Unpicked> for Status {
    fn from(unpicked: Unpicked) -> Self {
        match unpicked {
            Unpicked::Failed(status) | Unpicked::Dropped(status) => status,
        }
    }
}
