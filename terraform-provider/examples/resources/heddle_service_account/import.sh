# <org>/<service_account>, or the name alone
terraform import heddle_service_account.deployer acme/deployer
