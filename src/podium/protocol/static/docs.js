// Paths are relative, so that the page also works behind a proxy's prefix.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null, // nothing of this page may need the internet
});
