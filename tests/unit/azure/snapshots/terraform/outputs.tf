output "registry" {
  value = azurerm_container_registry.images.login_server
}

output "cluster" {
  value = azurerm_kubernetes_cluster.podium.name
}

output "stream" {
  value = "servicebus://${azurerm_servicebus_namespace.stream.name}.servicebus.windows.net?policies=${azurerm_storage_account.archive.primary_table_endpoint}"
}

output "archive" {
  value = "abfss://${azurerm_storage_container.archive.name}@${azurerm_storage_account.archive.primary_dfs_host}"
}

output "identity_client_id" {
  value = azurerm_user_assigned_identity.podium.client_id
}
