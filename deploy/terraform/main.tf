# The chart of this repository as a release, with the secrets that it names. They are there already: their values pass through no state.

terraform {
  required_version = ">= 1.6"
  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = ">= 2.12"
    }
  }
}

resource "helm_release" "heddle" {
  name      = var.name
  namespace = var.namespace
  chart     = "${path.module}/../helm/heddle"

  # A release that does not become ready is taken back: servers of before go on.
  atomic  = true
  wait    = true
  timeout = 600

  values = [yamlencode({
    image    = { repository = var.image.repository, tag = var.image.tag }
    replicas = var.replicas
    database = {
      urlSecret   = { name = var.database_secret, key = "server-url" }
      caUrlSecret = { name = var.database_secret, key = "ca-url" }
    }
    migrate    = { urlSecret = { name = var.database_secret, key = "owner-url" } }
    redis      = { enabled = var.redis_secret != null, urlSecret = { name = coalesce(var.redis_secret, "unused"), key = "url" } }
    sealingKey = { secret = { name = var.sealing_key_secret, key = "sealing.key" } }
    xds        = { address = var.xds_address, tlsSecret = var.xds_tls_secret }
    api        = { publicUrl = var.public_url, service = { port = 8080 } }
  })]
}
