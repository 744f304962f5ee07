terraform {
  required_providers {
    heddle = {
      source = "heddle.example/heddle/heddle"
    }
  }
}

# HEDDLE_API_URL says where, HEDDLE_TOKEN who, and HEDDLE_ORG (only if the token's own is not meant) which organisation.
provider "heddle" {}
