"""What a web server calls: `gunicorn csplatform.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "csplatform.settings")
os.environ.setdefault("CSPLATFORM_WEB", "true")  # short time-outs: somebody waits for each answer
application = get_wsgi_application()
