//! The gRPC health check that a probe makes.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.

use std::time::Duration;

use tonic::codegen::http::uri::PathAndQuery;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthAnswer {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
const NAMES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// Asks whether `service` is serving.
///
/// # Errors
/// It is not, or nobody answers: what the probe's event says.
pub async fn check(address: &str, service: &str, timeout: Duration) -> Result<(), String> {
    let failed = |why: &str| format!("timeout: failed to connect service {address:?} within {timeout:?}: {why}");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).map_err(|e| e.to_string())?;
    let work = async {
        let channel = endpoint.connect().await.map_err(|e| failed(&e.to_string()))?;
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.map_err(|e| failed(&e.to_string()))?;
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let codec = tonic_prost::ProstCodec::<HealthRequest, HealthAnswer>::default();
        let request = tonic::Request::new(HealthRequest { service: service.to_owned() });
        client.unary(request, path, codec).await.map_err(|e| match e.code() {
            tonic::Code::Unimplemented => {
                format!(
                    "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
                    e.message()
                )
            }
            _ => format!("error: health rpc probe failed: {e}"),
        })
    };
    let answer = tokio::time::timeout(timeout, work).await.map_err(|_| failed("context deadline exceeded"))??;
    let status = answer.into_inner().status;
    let name = usize::try_from(status).ok().and_then(|i| NAMES.get(i)).unwrap_or(&"UNKNOWN");
    if status == SERVING { Ok(()) } else { Err(format!("service unhealthy (responded with {name:?})")) }
}
