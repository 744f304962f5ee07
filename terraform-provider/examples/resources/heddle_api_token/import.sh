# <org>/<api_token>, or the name alone; the secret cannot be read back
terraform import heddle_api_token.deployer acme/deployer-ci
