use http::HeaderMap;

/// What the choice of a connection may depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PickRequest<'a> {
    /// The call's `/package.Service/Method`; empty where the connection is for no call.
    #[expect(dead_code, reason = "the limits per method will ask for it")]
    pub(crate) path: &'a str,
    /// The call's metadata, without what the protocol and the channel add.
    pub(crate) metadata: &'a HeaderMap,
    /// Waits until there is a connection, instead of failing where none can be made.
    pub(crate) wait_for_ready: bool,
}
