# One image for every process of the service; the command says which one it is.
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md ./
COPY events events
COPY streams streams
COPY detectors detectors
COPY alerts alerts
COPY notifiers notifiers
COPY replay replay
COPY service service
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && useradd --system --create-home --home-dir /var/lib/adwatch adwatch
USER adwatch
WORKDIR /var/lib/adwatch
ENTRYPOINT ["adwatch"]
