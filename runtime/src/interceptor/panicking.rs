use tonic::{Response, Status};

use super::{CallObserver, InterceptedCall, Interceptor, Next};

/// Has calls observed by one that panics when a message is sent, or at the end.
#[derive(Clone, Copy)]
pub(crate) struct PanickingObserver {
    pub(crate) at_the_end: bool,
}

impl CallObserver for PanickingObserver {
    fn message_sent(&self, _: usize) {
        assert!(self.at_the_end, "as told");
    }

    fn ended(&self, _: &Status) {
        assert!(!self.at_the_end, "as told");
    }
}

impl Interceptor for PanickingObserver {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        call.observe(*self);
        next.run(call).await
    }
}
