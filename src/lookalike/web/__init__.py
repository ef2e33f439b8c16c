"""The web app: a server factory over one library, and the built page (source in frontend/)."""
