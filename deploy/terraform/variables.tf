variable "name" {
  description = "Name of the release."
  type        = string
  default     = "heddle"
}

variable "namespace" {
  description = "A namespace that is there, with the secrets named below."
  type        = string
}

variable "image" {
  description = "Where you have put the image of deploy/container. Without a tag: the version of the chart."
  type        = object({ repository = string, tag = optional(string, "") })
}

variable "replicas" {
  description = "Servers."
  type        = number
  default     = 2

  validation {
    condition     = var.replicas >= 1
    error_message = "At least one server."
  }
}

variable "database_secret" {
  description = "Secret with server-url (as heddle_server), ca-url (as heddle_ca) and owner-url (as the role that owns the schema)."
  type        = string
}

variable "redis_secret" {
  description = "Secret with url; null: no Redis."
  type        = string
  default     = null
}

variable "sealing_key_secret" {
  description = "Secret with sealing.key: 32 bytes in hexadecimal. Keep a copy where no backup of the database is."
  type        = string
}

variable "xds_address" {
  description = "Host and port that proxies dial."
  type        = string

  validation {
    condition     = can(regex("^.+:[0-9]+$", var.xds_address))
    error_message = "A host and a port, as in heddle.example.com:18000."
  }
}

variable "xds_tls_secret" {
  description = "Secret with tls.crt, tls.key and ca.crt for that host."
  type        = string
}

variable "public_url" {
  description = "Where people reach the console and the API; empty: nothing is said."
  type        = string
  default     = ""
}
