//! What stands for meters where metrics are not compiled in.

use std::{fmt, sync::Arc};

use tonic::Code;

use super::{FurtherAttempts, Meter, Metered};
use crate::{attempt_number::AttemptNumber, interceptor::Observers, method::MethodDescriptor};

#[derive(Clone, Debug, Default)]
pub(crate) struct Source(());

impl Source {
    pub(crate) fn call(&self, _: Metered<'_>, _: &dyn fmt::Display) -> CallMeter {
        CallMeter
    }
}

#[derive(Debug)]
pub(crate) struct CallMeter;

impl CallMeter {
    pub(crate) fn attempt(&self, _: AttemptNumber, _: FurtherAttempts) -> AttemptMeter {
        AttemptMeter
    }
}

impl Meter for CallMeter {
    fn finish(&mut self, _: Code) {}
}

#[derive(Debug)]
pub(crate) struct AttemptMeter;

impl AttemptMeter {
    pub(crate) fn is_recording(&self) -> bool {
        false
    }

    pub(crate) fn sending(&self) -> SendMeter {
        SendMeter
    }

    pub(crate) fn message_received(&self, _: usize) {}
}

impl Meter for AttemptMeter {
    fn finish(&mut self, _: Code) {}
}

#[derive(Debug)]
pub(crate) struct SendMeter;

impl SendMeter {
    pub(crate) fn data_sent(&mut self, _: &[u8]) {}
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ServerSource(());

impl ServerSource {
    pub(crate) fn learn(&mut self, _: impl Iterator<Item = &'static MethodDescriptor>) {}

    pub(crate) fn call(&self, _: &str) -> ServedMeter {
        ServedMeter
    }

    pub(crate) fn connection(&self) -> ConnectionMeter {
        ConnectionMeter
    }

    pub(crate) fn refused(&self, _: &'static str) {}
}

#[derive(Debug)]
pub(crate) struct ConnectionMeter;

#[derive(Clone, Debug)]
pub(crate) struct ServedMeter;

impl ServedMeter {
    pub(crate) fn observe(&self, _: &mut Option<Arc<Observers>>) {}

    pub(crate) fn panicked(&self) {}

    pub(crate) fn blocked(&self) {}
}

impl Meter for ServedMeter {
    fn finish(&mut self, _: Code) {}
}
