"""The filter language of jobs, as the web, the API and the command line take it: text to a typed filter. Pure."""
