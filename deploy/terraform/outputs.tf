output "api_service" {
  description = "The service of the API and the console, on port 8080: for what terminates TLS."
  value       = "${var.name}-api.${var.namespace}.svc"
}

output "xds_service" {
  description = "The service that the host of xds_address has to lead to."
  value       = "${var.name}-xds.${var.namespace}.svc"
}
