//! A real OpenTelemetry collector, rotel, as a process that prints what it receives.

use super::loopback::free_port;
use super::python_tools::installed;
use super::waiting::until;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A running rotel. Killed when dropped.
pub struct Rotel {
    /// Where it takes OTLP/gRPC.
    pub grpc: SocketAddr,
    /// Where it takes OTLP/HTTP.
    pub http: SocketAddr,
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Rotel {
    /// Starts it and waits until it takes connections; `None` when it can't be had here.
    pub async fn start() -> Option<Self> {
        let binary = installed("rotel", "0.0.1a15", "rotel/rotel-agent")?;
        let [grpc, http]: [SocketAddr; 2] = [0, 0].map(|_| ([127, 0, 0, 1], free_port()).into());
        let mut child = Command::new(binary)
            .args([
                "start",
                "--otlp-grpc-endpoint",
                &grpc.to_string(),
                "--otlp-http-endpoint",
                &http.to_string(),
            ])
            .args([
                "--exporter",
                "blackhole",
                "--debug-log",
                "traces",
                "--debug-log-verbosity",
                "detailed",
            ])
            .args(["--batch-timeout", "100ms"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::<Mutex<String>>::default();
        follow(child.stdout.take().unwrap(), output.clone());
        follow(child.stderr.take().unwrap(), output.clone());
        let mut rotel = Self {
            grpc,
            http,
            child,
            output,
        };
        until("rotel listens", async || {
            assert!(
                rotel.child.try_wait().unwrap().is_none(),
                "rotel died:\n{}",
                rotel.output()
            );
            tokio::net::TcpStream::connect(grpc).await.is_ok() && tokio::net::TcpStream::connect(http).await.is_ok()
        })
        .await;
        Some(rotel)
    }

    /// Gives it a span, as an application beside the waypoint would.
    pub async fn take(&self, span: Span) {
        let scope_spans = vec![ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        }];
        let resource_spans = vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }];
        let mut client = TraceServiceClient::connect(format!("http://{}", self.grpc))
            .await
            .unwrap();
        client
            .export(ExportTraceServiceRequest { resource_spans })
            .await
            .unwrap();
    }

    /// The spans of a trace that it has printed: id and parent's id, in hex; "" for no parent.
    pub fn spans(&self, trace: &str) -> Vec<(String, String)> {
        let output = self.output();
        let blocks = output.split("Span #").skip(1);
        let read = |block: &str| {
            let value = |name: &str| {
                let line = block
                    .lines()
                    .find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix(':'));
                line.map(|value| value.trim().to_owned()).unwrap_or_default()
            };
            (value("Trace ID") == trace).then(|| (value("ID"), value("Parent ID")))
        };
        blocks.filter_map(read).collect()
    }

    /// All it has printed.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it has printed this text.
    pub async fn until_printed(&self, text: &str) {
        until(&format!("rotel prints {text:?}"), async || self.output().contains(text)).await;
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- output of rotel ---\n{}\n---", self.output());
        }
    }
}

pub(super) fn follow(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}
