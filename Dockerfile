# One image for the web process, the worker and the newsletter service of chapter 6.
FROM python:3.13-slim AS packages
WORKDIR /build
RUN pip install --no-cache-dir uv==0.13.9
COPY requirements/run.txt chapters/06-production/requirements.txt ./
# What the app needs, and not what the course's tool needs: the lock has the versions and hashes.
RUN uv venv /packages && \
    uv pip install --python /packages --compile-bytecode --require-hashes -r requirements.txt -c run.txt

FROM python:3.13-slim
ENV PATH=/packages/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --uid 10001 app && mkdir /certificate && chown app /certificate
COPY --from=packages /packages /packages
WORKDIR /app
COPY chapters/06-production ./
USER 10001
