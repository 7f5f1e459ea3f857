/// How often a client may do on one connection what costs it little, beside its calls.
///
/// It may do so `burst` times at once, and `per_second` times more in each second; whoever goes on is told to calm down, and cut
/// off: see [`Server::control_frame_budget`], [`Server::window_update_budget`], [`Server::reset_budget`] and
/// [`Server::refused_stream_budget`].
///
/// ```
/// use wireloom::{Server, server::Budget};
///
/// let server = Server::builder().reset_budget(Budget { burst: 5000, per_second: 500 });
/// ```
///
/// [`Server::control_frame_budget`]: crate::Server::control_frame_budget
/// [`Server::window_update_budget`]: crate::Server::window_update_budget
/// [`Server::reset_budget`]: crate::Server::reset_budget
/// [`Server::refused_stream_budget`]: crate::Server::refused_stream_budget
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How often at once; zero is never.
    pub burst: u32,
    /// How much of that comes back in a second.
    pub per_second: u32,
}

impl Budget {
    /// As often as a client likes. It is still counted: see
    /// [`Server::without_flood_protection`](crate::Server::without_flood_protection).
    pub const UNLIMITED: Self = Self {
        burst: u32::MAX,
        per_second: u32::MAX,
    };

    /// So many at once, a tenth of which comes back in a second.
    pub(super) fn of(burst: u32) -> Self {
        Self {
            burst,
            per_second: burst / 10,
        }
    }
}
